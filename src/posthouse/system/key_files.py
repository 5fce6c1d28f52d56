"""Files with keys and certificates: read while the process may, and again when they were renewed (TLS_README)."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

SIZE_LIMIT = 1_000_000  # bytes
Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file's content, and by what a newer one is told from it."""

    data: bytes
    mark: Mark


def read_key_file(path: str) -> KeyFile:
    """The file as it is now. Raises OSError."""
    with open(path, "rb") as file:
        return read_open_file(file.fileno())


def read_open_file(fd: int) -> KeyFile:
    """The same of a file that somebody else has opened. Raises OSError."""
    found = os.fstat(fd)
    if found.st_size > SIZE_LIMIT:
        raise OSError("file too large")
    return KeyFile(os.pread(fd, SIZE_LIMIT, 0), _mark(found))


def _mark(found: os.stat_result) -> Mark:
    return found.st_mtime_ns, found.st_ino, found.st_size


class KeyFiles:
    """Files as they are now, for a process that may not read all of them.

    known are those that were read before rights were dropped. ask(path) has somebody with more rights open a file;
    it answers with a descriptor, or raises OSError.
    """

    def __init__(
        self, known: dict[str, KeyFile] | None = None, ask: Callable[[str], Awaitable[int]] | None = None
    ) -> None:
        self._known = dict(known or {})
        self._ask = ask

    async def current(self, path: str) -> KeyFile:
        """The file's content; one that has not changed is not read again. Raises OSError."""
        try:
            known = self._known.get(path)
            if known is not None and _mark(os.stat(path)) == known.mark:
                return known
            found = read_key_file(path)
        except PermissionError:
            if self._ask is None:
                raise
            fd = await self._ask(path)
            try:
                found = read_open_file(fd)
            finally:
                os.close(fd)
        self._known[path] = found
        return found

    def at_hand(self, path: str) -> KeyFile:
        """The file's content without waiting: as it is now, or else as it was last. Raises OSError."""
        try:
            known = self._known.get(path)
            if known is None or _mark(os.stat(path)) != known.mark:
                self._known[path] = read_key_file(path)
        except PermissionError:
            if path not in self._known:
                raise
        return self._known[path]
