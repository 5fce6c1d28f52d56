"""SpamAssassin's daemon protocol as values: what is asked of spamd, and what it answers (spamd's PROTOCOL, 1.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from posthouse.errors import ProtocolError

_STATUS = re.compile(rb"SPAMD/\d+\.\d+ (\d+) ?([^\r\n]*)\r?\n")
_SPAM = re.compile(rb"^Spam: *(True|False|Yes|No) *; *(-?[\d.]+) */ *(-?[\d.]+)", re.IGNORECASE | re.MULTILINE)
MAX_ANSWER = 256 * 1024


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
    if user:
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
    names = body.decode("ascii", "replace").replace("\n", ",").split(",")
    tests = tuple(name.strip() for name in names if name.strip())
    return SpamAnswer(found[1].lower() in (b"true", b"yes"), float(found[2]), float(found[3]), tests)
