"""What a message consists of: its MIME parts, where each begins and ends, and what it says it is (RFC 2046).

Boundaries are looked for in the body as it lies in memory or in its file, so a large message costs no more memory.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

from posthouse.filters.scanner.file_types import PEEK, short_types
from posthouse.filters.scanner.limits import Budget, TooMuch
from posthouse.filters.scanner.mime_names import MimeHead, read_head

Data = bytes | mmap
_DELIMITER = re.compile(rb"^--([^\n]{1,300})$", re.MULTILINE)
_UUENCODED = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} ([^\n]{1,200})$", re.MULTILINE)
_NOT_BASE64 = bytes(byte for byte in range(256) if not (chr(byte).isalnum() and byte < 128) and byte not in b"+/=")
_HEADER_LIMIT = 262_144
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Component:
    """A part, or a member of an archive. type "" where none is declared; kinds are file_types'."""

    type: str
    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """As in the log: "application/octet-stream,.asc,evil.exe"."""
        words = [self.type, *(f".{kind}" for kind in self.kinds), *self.names]
        return ",".join(word for word in words if word)


Path = tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part without parts. Its content stands, encoded, from start to end; path ends with the part itself."""

    path: Path
    encoding: str
    start: int
    end: int


@dataclass(slots=True)
class _Open:
    boundary: bytes
    path: Path


def leaves(header: bytes, data: Data, budget: Budget) -> Iterator[Leaf]:
    """The parts of a message without parts, in order; its body is data. Raises TooMuch."""
    walk = _Walk(data, budget)
    walk.begin(read_head(header), (), 1 if data[:1] == b"\n" else 0)
    for found in _DELIMITER.finditer(data):
        leaf = walk.pass_delimiter(found[1].rstrip(), found.start(), found.end() + 1)
        if leaf is not None:
            yield leaf
    last = walk.end(len(data))
    if last is not None:
        yield last


class _Walk:
    def __init__(self, data: Data, budget: Budget) -> None:
        self._data, self._budget = data, budget
        self._levels: list[_Open] = []
        self._leaf: tuple[Path, str, int] | None = None
        self._lines = 0

    def begin(self, head: MimeHead, path: Path, start: int) -> None:
        """A part's header has been read; its content begins at start."""
        while True:
            self._budget.take_file()
            self._budget.take_level(len(path) + 1)
            if head.is_multipart:
                self._levels.append(_Open(head.boundary, (*path, Component(head.type, head.names))))
                return
            if head.type not in ("message/rfc822", "message/global") or head.encoding in ("base64", "quoted-printable"):
                self._leaf = ((*path, Component(head.type, head.names)), head.encoding, start)
                return
            path = (*path, Component(head.type, head.names))
            head, start = self._head_at(start)

    def _head_at(self, start: int) -> tuple[MimeHead, int]:
        if self._data[start : start + 1] == b"\n":
            return MimeHead(), start + 1
        end = self._data.find(b"\n\n", start)
        end = len(self._data) if end < 0 else end + 1
        if end - start > _HEADER_LIMIT:
            # What is no header is content; what follows a header that never ends is not looked at.
            raise TooMuch("the header of a part is too long")
        return read_head(self._data[start:end]), min(end + 1, len(self._data))

    def pass_delimiter(self, line: bytes, start: int, end: int) -> Leaf | None:
        """A line that begins with "--": the leaf that ends there, if it is a boundary."""
        self._lines += 1
        if self._lines % 1000 == 0:
            self._budget.take_time()
        for number in range(len(self._levels) - 1, -1, -1):
            boundary = self._levels[number].boundary
            if line.startswith(boundary) and line[len(boundary) :] in (b"", b"--"):
                leaf = self.end(max(start - 1, 0))
                del self._levels[number + 1 :]
                if line == boundary:
                    self.begin(*self._part(self._levels[number].path, end))
                else:
                    del self._levels[number:]
                return leaf
        return None

    def _part(self, path: Path, start: int) -> tuple[MimeHead, Path, int]:
        head, begin = self._head_at(start)
        return head, path, begin

    def end(self, at: int) -> Leaf | None:
        """The leaf that was open, if one was."""
        found, self._leaf = self._leaf, None
        if found is None:
            return None
        path, encoding, start = found
        return Leaf(path, encoding, start, max(start, at))


def peeked(leaf: Leaf, data: Data) -> tuple[Path, bytes]:
    """The leaf's path with the kinds of its content, and the content's first bytes."""
    start = next(decoded(Leaf(leaf.path, leaf.encoding, leaf.start, min(leaf.end, leaf.start + 2 * PEEK)), data), b"")
    last = leaf.path[-1]
    return (*leaf.path[:-1], Component(last.type, last.names, short_types(start[:PEEK]))), start


def uuencoded_names(leaf: Leaf, data: Data) -> list[str]:
    """Files that stand uuencoded in a text."""
    if not leaf.path[-1].type.startswith("text/"):
        return []
    found = _UUENCODED.finditer(data, leaf.start, leaf.end)
    return [match[1].decode("utf-8", "replace").strip() for match in found]


def decoded(leaf: Leaf, data: Data) -> Iterator[bytes]:
    """The content in pieces, without its transfer encoding; what is no base64 is passed over, as mail readers do."""
    rest = b""
    for at in range(leaf.start, leaf.end, _PIECE):
        piece = data[at : min(at + _PIECE, leaf.end)]
        if leaf.encoding == "base64":
            piece = rest + piece.translate(None, _NOT_BASE64)
            whole = len(piece) // 4 * 4
            piece, rest = piece[:whole], piece[whole:]
            yield _base64(piece)
        elif leaf.encoding == "quoted-printable":
            piece = rest + piece
            cut = piece.rfind(b"\n") + 1 or len(piece)
            piece, rest = piece[:cut], piece[cut:]
            yield binascii.a2b_qp(piece)
        else:
            yield piece
    if rest:
        yield _base64(rest) if leaf.encoding == "base64" else binascii.a2b_qp(rest)


def _base64(data: bytes) -> bytes:
    """Padding in the middle ends nothing: the pieces between are decoded each by itself."""
    found = b""
    for piece in data.split(b"="):
        if len(piece) % 4 != 1:
            found += binascii.a2b_base64(piece + b"=" * (-len(piece) % 4))
        else:
            found += binascii.a2b_base64(piece[:-1])
    return found
