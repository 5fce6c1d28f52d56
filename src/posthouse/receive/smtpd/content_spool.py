"""Collects a message's content while it arrives: small ones stay in memory, large ones go to a file of the spool."""

from __future__ import annotations

import os
from typing import BinaryIO

from posthouse.mail.content import FilePart
from posthouse.protocols.smtp_data import count_lines, end_of_header, mark_from_lines, split_content

SPOOL_ABOVE = 1_000_000  # bytes kept in memory


class ContentSpool:
    """add() decoded content (LF line ends); close() gives the parts. size is in bytes, wire_size with CR LF.

    Above limit (bytes, 0 none) nothing more is kept and too_big is set. failed is the error of a full disk.
    # Differs from Postfix: header fields beyond the first megabyte count as body.
    """

    __slots__ = ("_chunks", "_directory", "_file", "_header", "_limit", "_path", "failed", "lines", "size", "too_big")

    def __init__(self, directory: str, name: str, limit: int) -> None:
        self._directory, self._path = directory, os.path.join(directory, name)
        self._chunks: list[bytes] = []
        self._file: BinaryIO | None = None
        self._header = b""
        self._limit = limit
        self.size = 0
        self.lines = 0
        self.too_big = False
        self.failed: OSError | None = None

    @property
    def wire_size(self) -> int:
        """Bytes so far with CR LF line ends."""
        return self.size + self.lines

    def add(self, data: bytes, lines: int | None = None) -> None:
        """Keep more content; lines is the number of its line ends where that is known."""
        self.size += len(data)
        self.lines += count_lines(data) if lines is None else lines
        if self.too_big or self.failed:
            return
        if self._limit and self.size > self._limit:
            self.too_big = True
            self.discard()
        elif self._file is not None:
            self._write(data)
        else:
            self._chunks.append(data)
            if self.size > SPOOL_ABOVE:
                self._open_file()

    def header(self) -> bytes:
        """The header of what has come so far; nothing is given up."""
        if self._file is not None:
            return self._header
        data = b"".join(self._chunks)
        self._chunks = [data]
        data = mark_from_lines(data)
        return data[: end_of_header(data)]

    def close(self) -> tuple[bytes, bytes | FilePart]:
        """(header, body). The file, if any, is the caller's from now on."""
        if self._file is None:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks = []
            return split_content(data)
        self._file.flush()
        length = self._file.tell()
        self._file.close()
        self._file = None
        return self._header, FilePart(self._path, 0, length)

    def discard(self) -> None:
        """Forget it all, and remove the file."""
        self._chunks = []
        if self._file is not None:
            self._file.close()
            self._file = None
            os.unlink(self._path)

    def _open_file(self) -> None:
        data = b"".join(self._chunks)
        self._chunks = []
        data = mark_from_lines(data)
        end = end_of_header(data)
        self._header, data = data[:end], data[end:]
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "wb", buffering=0)
        except OSError as error:
            self.failed = error
            return
        self._write(b"\n" + data if data[:1] not in (b"\n", b"") else data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view and self._file is not None:
                view = view[self._file.write(view) :]
        except OSError as error:
            self.failed = error
            self.discard()
