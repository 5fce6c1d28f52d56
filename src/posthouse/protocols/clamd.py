"""ClamAV's daemon protocol as values: a message streamed to clamd, and its verdict (clamd(8), INSTREAM, PING)."""

from __future__ import annotations

import re

from posthouse.errors import PosthouseError, ProtocolError

COMMAND = b"zINSTREAM\0"
END = b"\0\0\0\0"
PING = b"zPING\0"
MAX_ANSWER = 16 * 1024
_FOUND = re.compile(r"stream: (.+?)(?:\([0-9a-f]+:\d+\))? FOUND\Z")


class TooLarge(PosthouseError):
    """clamd takes no message of this size (StreamMaxLength); nothing is wrong with clamd."""


def chunk(data: bytes) -> bytes:
    """A piece of the message with its length before it."""
    return len(data).to_bytes(4, "big") + data


def answer(data: bytes) -> str:
    """The name of what was found, "" for nothing. Raises TooLarge, and ProtocolError for errors and for what is no
    answer.
    """
    text = data.rstrip(b"\0\r\n").decode("utf-8", "replace")
    if text == "stream: OK":
        return ""
    if text.startswith("INSTREAM size limit exceeded"):
        raise TooLarge("larger than clamd takes (StreamMaxLength)")
    found = _FOUND.match(text)
    if found is None:
        raise ProtocolError(f"clamd: {_printable(text[:200]) or 'no answer'}")
    return _printable(found[1])


def pong(data: bytes) -> None:
    """Raises ProtocolError for what is no answer to PING."""
    if data.rstrip(b"\0\r\n") != b"PONG":
        raise ProtocolError("clamd: no answer to PING")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
