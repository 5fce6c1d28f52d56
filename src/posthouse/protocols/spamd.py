"""SpamAssassin's daemon protocol as values: what is asked of spamd, and what it answers (spamd's PROTOCOL, 1.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from posthouse.errors import ProtocolError

_STATUS = re.compile(rb"SPAMD/\d+\.\d+ (\d+) ?([^\r\n]*)\r?\n")
_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")
_SPAM = re.compile(rb"^Spam: *(True|False|Yes|No) *; *(-?[\d.]+) */ *(-?[\d.]+)", re.IGNORECASE | re.MULTILINE)
MAX_ANSWER = 256 * 1024
MAX_TESTS = 500
PING = b"PING SPAMC/1.5\r\n\r\n"


@dataclass(frozen=True, slots=True)
class SpamAnswer:
    """What spamd thinks: the score, the score from which it calls mail spam, and the names of the rules that hit."""

    is_spam: bool
    score: float
    required: float
    tests: tuple[str, ...]


def request(size: int, user: str = "") -> bytes:
    """The head of a SYMBOLS request for a message of size bytes; user's preferences apply where given."""
    lines = ["SYMBOLS SPAMC/1.5", f"Content-length: {size}"]
    if user.isprintable() and user:
        lines.append(f"User: {user}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


def answer(data: bytes) -> SpamAnswer:
    """The whole answer taken apart. Raises ProtocolError for a refusal and for what is no answer."""
    status = _STATUS.match(data)
    if status is None:
        raise ProtocolError("spamd: no SPAMD answer")
    if status[1] != b"0":
        raise ProtocolError(f"spamd: {status[2].decode('ascii', 'replace')}")
    head, _, body = data.partition(b"\r\n\r\n")
    found = _SPAM.search(head)
    if found is None:
        raise ProtocolError("spamd: an answer without a Spam: line")
    names = _NAME.findall(body.decode("ascii", "replace"))[:MAX_TESTS]
    return SpamAnswer(found[1].lower() in (b"true", b"yes"), _number(found[2]), _number(found[3]), tuple(names))


def pong(data: bytes) -> None:
    """Raises ProtocolError for what is no answer to PING."""
    status = _STATUS.match(data)
    if status is None or status[1] != b"0":
        raise ProtocolError("spamd: no answer to PING")


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        raise ProtocolError(f"spamd: no score: {text.decode('ascii', 'replace')}") from None
