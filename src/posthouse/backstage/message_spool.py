"""Collects the body of a message that comes in pieces with CR LF line ends: small ones in memory,
large ones in a file.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from posthouse.mail.content import Content, FilePart

SPOOL_ABOVE = 1_000_000  # bytes kept in memory


class MessageSpool:
    """add() the pieces, close() once; the file, if there is one, is gone after discard()."""

    __slots__ = ("_chunks", "_directory", "_failed", "_file", "_held", "_limit", "_path", "_size")

    def __init__(self, directory: str, name: str, limit: int) -> None:
        self._directory, self._path, self._limit = directory, os.path.join(directory, name), limit
        self._chunks: list[bytes] = [b"\n"]
        self._file: BinaryIO | None = None
        self._held, self._size = b"", 1
        self._failed: OSError | None = None

    def add(self, data: bytes) -> None:
        """Keep more; what goes wrong is told by close()."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        data = data[: len(data) - len(self._held)].replace(b"\r\n", b"\n")
        self._size += len(data)
        if self._failed is not None:
            return
        if self._limit and self._size > self._limit:
            self._failed = OSError("the message is larger than message_size_limit")
            self.discard()
            return
        try:
            self._keep(data)
        except OSError as error:
            self._failed = error
            self.discard()

    def _keep(self, data: bytes) -> None:
        if self._file is None:
            self._chunks.append(data)
            if self._size <= SPOOL_ABOVE:
                return
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "wb")
            data, self._chunks = b"".join(self._chunks), []
        self._file.write(data)

    def close(self, header: bytes) -> Content:
        """The message with this header. Raises OSError where the body could not be kept."""
        if self._failed is None and self._held:
            self._chunks.append(self._held)
        if self._failed is None and self._file is not None:
            if self._held:
                self._file.write(self._held)
            self._file.flush()
            return Content(header, FilePart(self._path, 0, self._file.tell()))
        if self._failed is not None:
            raise self._failed
        return Content(header, b"".join(self._chunks))

    def discard(self) -> None:
        """Forget it all."""
        self._chunks = []
        if self._file is not None:
            self._file.close()
            self._file = None
            os.unlink(self._path)
