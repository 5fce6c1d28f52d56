"""The client's half of SMTP and LMTP as values: replies, what a server offers, content for the wire (RFC 5321)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from posthouse.errors import ProtocolError

MAX_REPLY_LINES = 512
MAX_LINE = 8192

_REPLY_LINE = re.compile(rb"(\d{3})(?:([ -])(.*))?\Z", re.DOTALL)
_DSN = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")


@dataclass(frozen=True, slots=True)
class ServerReply:
    """One reply. lines are as received (with their codes), so that a log shows what was said."""

    code: int
    lines: tuple[str, ...]

    @property
    def is_positive(self) -> bool:
        return 200 <= self.code < 400

    @property
    def is_permanent(self) -> bool:
        return self.code // 100 == 5

    @property
    def said(self) -> str:
        """All lines in one, as they stand in logs and reports."""
        return " ".join(self.lines)

    @property
    def dsn(self) -> str:
        """The enhanced status code where the server gave one of the reply's class, else "" (RFC 2034)."""
        found = _DSN.match(self.lines[-1][4:])
        return found[0] if found and found[0][0] == str(self.code)[0] else ""


class ReplyReader:
    """Puts replies together from what arrives. Bounded; what is no SMTP reply sets error."""

    __slots__ = ("_buffer", "_lines", "error")

    def __init__(self) -> None:
        self.error: ProtocolError | None = None
        self._buffer = b""
        self._lines: list[str] = []

    def feed(self, data: bytes) -> list[ServerReply]:
        """The replies that data completes; those before an error are still good."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        replies: list[ServerReply] = []
        try:
            for raw in lines:
                reply = self._line(raw.rstrip(b"\r"))
                if reply:
                    replies.append(reply)
        except ProtocolError as error:
            self.error = error
        if len(self._buffer) > MAX_LINE:
            self.error = ProtocolError("a reply line without end")
        return replies

    def _line(self, raw: bytes) -> ServerReply | None:
        match = _REPLY_LINE.match(raw)
        text = raw[:MAX_LINE].decode("utf-8", "replace")
        if match is None:
            raise ProtocolError(text[:200])
        if len(self._lines) < MAX_REPLY_LINES:
            self._lines.append(text)
        if match[2] == b"-":
            return None
        reply = ServerReply(int(match[1]), tuple(self._lines))
        self._lines = []
        return reply


@dataclass(frozen=True, slots=True)
class Features:
    """What EHLO announced. size is the limit in bytes: 0 none, None where SIZE is not offered (RFC 1870)."""

    name: str = ""
    extended: bool = False
    size: int | None = None
    pipelining: bool = False
    eight_bit_mime: bool = False
    dsn: bool = False
    smtputf8: bool = False
    chunking: bool = False
    starttls: bool = False
    xforward: frozenset[str] = frozenset()
    auth: tuple[str, ...] = ()
    keywords: frozenset[str] = field(default_factory=frozenset)


def features(reply: ServerReply, discard: Iterable[str] = ()) -> Features:
    """The reply to EHLO or LHLO taken apart; keywords in discard (lower case) count as not offered."""
    dropped = set(discard)
    words = {}
    for line in reply.lines[1:]:
        keyword, _, rest = line[4:].strip().replace("=", " ", 1).partition(" ")
        if keyword.lower() not in dropped:
            words[keyword.upper()] = rest.split()
    size = words.get("SIZE")
    name = reply.lines[0][4:].split(" ")[0]
    return Features(
        name=name,
        extended=True,
        size=None if size is None else int(size[0]) if size and size[0].isdigit() else 0,
        pipelining="PIPELINING" in words,
        eight_bit_mime="8BITMIME" in words,
        dsn="DSN" in words,
        smtputf8="SMTPUTF8" in words,
        chunking="CHUNKING" in words,
        starttls="STARTTLS" in words,
        xforward=frozenset(word.upper() for word in words.get("XFORWARD", ())),
        auth=tuple(words.get("AUTH", ())),
        keywords=frozenset(words),
    )


def wire_form(content: bytes, line_limit: int = 0) -> bytes:
    """Content with LF line ends as DATA sends it: CRLF, leading dots doubled, a CRLF at the end (RFC 5321, 4.5.2).

    Lines longer than line_limit bytes (0: no limit) are broken with CRLF and a space, as smtp_line_length_limit says.
    """
    if line_limit and len(content) > line_limit:
        content = _break_long_lines(content, line_limit)
    if content and not content.endswith(b"\n"):
        content += b"\n"
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")


def _break_long_lines(content: bytes, limit: int) -> bytes:
    if not _has_line_above(content, limit):
        return content
    pieces = []
    for line in content.split(b"\n"):
        parts = [line[:limit]] + [line[at : at + limit - 1] for at in range(limit, len(line), limit - 1)]
        pieces.append(b"\n ".join(parts))
    return b"\n".join(pieces)


def _has_line_above(content: bytes, limit: int) -> bool:
    """Whether some line has more than limit bytes: looks backwards for a line end, a whole limit at a time."""
    start, size = 0, len(content)
    while size - start > limit:
        end = content.rfind(b"\n", start, start + limit + 1)
        if end < 0:
            return True
        start = end + 1
    return False


def xtext(text: str) -> str:
    """Text in the encoding of ENVID and ORCPT (RFC 3461, 4)."""
    encoded = text.encode("utf-8", "surrogateescape").decode("latin-1")
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in encoded)


def xforward_text(text: str) -> str:
    """An XFORWARD attribute value; unknown ones are [UNAVAILABLE] (XFORWARD_README)."""
    return xtext(text) if text else "[UNAVAILABLE]"
