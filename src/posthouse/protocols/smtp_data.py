"""Message content as it comes over SMTP: end of DATA, dot-stuffing and line ends, in whole buffers (RFC 5321, 4.5.2).

Nothing here takes a step per line unless line ends are irregular; see smtpd(8) and smtpd_forbid_bare_newline.
"""

from __future__ import annotations

import re
from enum import Enum

_STANDARD_END = b"\r\n.\r\n"
_LENIENT_END = re.compile(rb"\n\.\r*\n")
_IRREGULAR_END = re.compile(rb"\r+\n")
_FIELDS = re.compile(rb"(?>(?>[!-9;-~]+[ \t]*:[^\n]*\n(?>[ \t][^\n]*\n)*)*)")
_FROM_LINE = re.compile(rb">*From ")


class BareNewline(Enum):
    """What smtpd_forbid_bare_newline makes of a line that ends in LF without CR."""

    ALLOW = "no"
    NORMALIZE = "normalize"
    NOTE = "note"
    REJECT = "reject"


def undo_line_ends(data: bytes) -> bytes:
    """CR LF (and CR CR LF) as LF."""
    return _undo_irregular_ends(data, data.replace(b"\r\n", b"\n"))


def _undo_irregular_ends(data: bytes, content: bytes) -> bytes:
    """The content of data, given with CR LF as LF; CR CR LF is looked for."""
    return _IRREGULAR_END.sub(b"\n", data) if b"\r" in content and b"\r\r" in data else content


def count_lines(content: bytes) -> int:
    """How many LF there are. bytes.count takes four times as long."""
    return len(content.replace(b"\n", b"\r\n")) - len(content)


class DataDecoder:
    """Takes the bytes after 354 and gives content with LF line ends.

    After feed() finished says whether the end was seen; rest is then what came behind it. bare_newline tells that a
    line ended in LF alone (not looked for with ALLOW); lines counts the line ends given out. A bounded tail is held
    back until more arrives.
    """

    __slots__ = ("_begun", "_mode", "_tail", "bare_newline", "finished", "lines", "rest")

    def __init__(self, mode: BareNewline = BareNewline.NORMALIZE) -> None:
        self._mode = mode
        self._tail = b"\r\n"  # as if a line had just ended: the first line may be the dot
        self._begun = False
        self.bare_newline = False
        self.finished = False
        self.lines = 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Content that is complete so far, decoded; may be empty."""
        data = self._tail + data if self._tail else data
        dot = data.find(b"\n.")
        end, after = (-1, -1) if dot < 0 else self._find_end(data, dot)
        if end < 0:
            keep = _held_back(data)
            data, self._tail = data[: len(data) - keep], data[len(data) - keep :]
        else:
            self.finished, self.rest, self._tail = True, data[after:], b""
            data = data[:end]
        content = self._decode(data)
        if 0 <= dot < len(data) - 1:  # not only the dot at the end
            content = content.replace(b"\n.", b"\n")
        if content and not self._begun:
            self._begun = True
            self.lines -= 1
            return content[1:]  # less the line end put before it
        return content

    @property
    def held(self) -> int:
        """Bytes that wait for more, not yet given out."""
        return len(self._tail) if self._begun else max(0, len(self._tail) - 2)

    def _find_end(self, data: bytes, dot: int) -> tuple[int, int]:
        """(where the content ends, where the rest begins); the content's last line end is included.

        dot: where the first line begins with one.
        """
        if self._mode is BareNewline.ALLOW:
            found = _LENIENT_END.search(data, dot)
            return (found.start() + 1, found.end()) if found else (-1, -1)
        end = data.find(_STANDARD_END, max(0, dot - 1))
        return (end + 2, end + 5) if end >= 0 else (-1, -1)

    def _decode(self, data: bytes) -> bytes:
        content = data.replace(b"\r\n", b"\n")
        ends = len(data) - len(content)
        content = _undo_irregular_ends(data, content)
        lines = count_lines(content)
        self.lines += lines
        if lines != ends and self._mode is not BareNewline.ALLOW:
            self.bare_newline = True
        return content


def _held_back(data: bytes) -> int:
    """How many bytes at the end may belong to a line end, a dot, or the end of DATA that is not complete yet."""
    newline = data.rfind(b"\n", max(0, len(data) - 64))
    if newline >= 0 and data[newline + 1 :].replace(b"\r", b"") in (b"", b"."):
        start = newline
        while start > 0 and data[start - 1] == 13 and newline - start < 64:
            start -= 1
        return len(data) - start
    return min(64, len(data) - len(data.rstrip(b"\r")))


class ChunkDecoder:
    """Undoes the line ends of BDAT chunks (RFC 3030); a CR at the end of one waits for the next."""

    __slots__ = ("_tail", "_unfinished")

    def __init__(self) -> None:
        self._tail = b""
        self._unfinished = False

    def feed(self, data: bytes) -> bytes:
        """Content that is complete so far."""
        data = self._tail + data
        keep = min(64, len(data) - len(data.rstrip(b"\r")))
        data, self._tail = data[: len(data) - keep], data[len(data) - keep :]
        if data:
            self._unfinished = not data.endswith(b"\n")
        return undo_line_ends(data)

    def finish(self) -> bytes:
        """What was held back, with the line end that the last line may lack."""
        tail, self._tail = self._tail, b""
        return tail + b"\n" if tail or self._unfinished else b""


def end_of_header(data: bytes) -> int:
    """Length of the header section at the start of data: whole fields, each with its LF."""
    found = _FIELDS.match(data)
    return found.end() if found else 0


def is_from_line(data: bytes) -> bool:
    """Whether data begins with an mbox separator ("From ", ">From ")."""
    return _FROM_LINE.match(data) is not None


def mark_from_lines(data: bytes) -> bytes:
    """Separators of mbox files before the header become fields."""
    lines: list[bytes] = []
    while is_from_line(data):
        line, end, data = data.partition(b"\n")
        lines.append(b"X-Mailbox-Line: " + line + end)
    return b"".join(lines) + data if lines else data


def split_content(data: bytes) -> tuple[bytes, bytes]:
    """(header, body) of a message with LF line ends. The body begins with the LF of the blank line, which is put in
    where the first line that is no header field comes without one (as cleanup(8) does).
    """
    data = mark_from_lines(data)
    end = end_of_header(data)
    header, body = data[:end], data[end:]
    if body and body[:1] != b"\n":
        body = b"\n" + body
    if body and body[-1:] != b"\n":
        body += b"\n"
    return header, body
