"""The body on its way to a milter and back: in pieces with CR LF, a new one collected, in a file when it is large."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from posthouse.mail.content import FilePart

_PIECE = 49_152  # bytes read at a time
_SPOOL_ABOVE = 1_000_000  # bytes of a new body kept in memory


def pieces_of(body: bytes | FilePart) -> Iterator[bytes]:
    """The body as SMTP has it, without the blank line after the header."""
    if isinstance(body, bytes):
        for start in range(1, len(body), _PIECE):
            yield body[start : start + _PIECE].replace(b"\n", b"\r\n")
        return
    with open(body.path, "rb") as file:
        file.seek(body.offset + 1)
        left = body.length - 1
        while left > 0 and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece.replace(b"\n", b"\r\n")


class NewBody:
    """keep() takes the pieces of a new body; finish() gives it with LF line ends and the blank line before it.

    Raises OSError for a full disk. Above limit (bytes, 0 none) nothing more is kept and is_too_big is set.
    """

    __slots__ = ("_chunks", "_ends_line", "_file", "_limit", "_path", "_tail", "is_too_big", "size")

    def __init__(self, path: str, limit: int) -> None:
        self._path, self._limit = path, limit
        self._chunks: list[bytes] = [b"\n"]
        self._file: BinaryIO | None = None
        self._tail = b""
        self._ends_line = True
        self.size = 1
        self.is_too_big = False

    def keep(self, data: bytes) -> None:
        """The next piece; a CR at its end waits for what follows."""
        data = self._tail + data
        self._tail = b"\r" if data.endswith(b"\r") else b""
        self._add(data[: len(data) - len(self._tail)].replace(b"\r\n", b"\n"))

    def _add(self, data: bytes) -> None:
        if not data:
            return
        self.size += len(data)
        self._ends_line = data.endswith(b"\n")
        if self._limit and self.size > self._limit:
            self.is_too_big = True
            self._chunks.clear()
        elif self._file is not None:
            self._file.write(data)
        else:
            self._chunks.append(data)
            if self.size > _SPOOL_ABOVE:
                self._open_file()

    def _open_file(self) -> None:
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._file.write(b"".join(self._chunks))
        self._chunks.clear()

    def finish(self) -> bytes | FilePart:
        """The whole. A file is the caller's from now on."""
        self._add(self._tail)
        if not self._ends_line:
            self._add(b"\n")
        if self._file is None:
            return b"".join(self._chunks)
        self._file.close()
        self._file = None
        return FilePart(self._path, 0, self.size)

    def discard(self) -> None:
        """Forget it."""
        self._chunks.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
            os.unlink(self._path)
