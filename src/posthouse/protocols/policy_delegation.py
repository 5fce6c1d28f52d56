"""The access policy delegation protocol (SMTPD_POLICY_README): name=value lines, an empty line; back comes action=."""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.errors import ProtocolError

MAX_REPLY = 65536  # bytes; a longer answer is no answer
_NO_LINE_END = {ord("\n"): " ", ord("\r"): " ", 0: " "}


def write_attributes(attributes: Iterable[tuple[str, str]]) -> bytes:
    """A request (or a reply) as it goes over the wire; line ends within values become blanks."""
    lines = [f"{name}={value.translate(_NO_LINE_END)}\n" for name, value in attributes]
    return "".join((*lines, "\n")).encode("utf-8", "surrogateescape")


def parse_attributes(block: bytes) -> dict[str, str]:
    """The attributes of a request or reply, without or with the empty line at its end. The last of a name counts.

    Raises ProtocolError for a line that is no name=value.
    """
    attributes: dict[str, str] = {}
    for line in block.decode("utf-8", "surrogateescape").split("\n"):
        if not line:
            continue
        name, equals, value = line.partition("=")
        if not equals or not name:
            raise ProtocolError(f"malformed attribute: {line[:100]}")
        attributes[name] = value
    return attributes


def parse_reply(block: bytes) -> str:
    """The action of a reply. Raises ProtocolError where there is none."""
    for line in reversed(block.decode("utf-8", "surrogateescape").split("\n")):
        name, equals, value = line.partition("=")
        if equals and name == "action":
            return value
    raise ProtocolError("missing attribute action in input")
