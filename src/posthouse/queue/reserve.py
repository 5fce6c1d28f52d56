"""A file that keeps some of the disk free for the store, so that a full disk does not stop the queue from draining.

What has been delivered must be recorded, and that takes room in the write-ahead log. When the disk is full the reserve
is given up for these records; no mail is taken in until it is there again (docs/decisions/accounting.md).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

SIZE = 12 * 1024 * 1024  # bytes
_SMALLEST = 256 * 1024
_SHARE = 8  # of what is free on a small disk: one in so many
_INTERVAL_S = 1.0


class Reserve:
    """The file at path; size is in bytes. Everything here is called by the store's one thread.

    The log must never hold more that is not in the database yet than the reserve has room for: log_limit.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_held = False
        self._tried = 0.0
        self.size = 0

    @property
    def log_limit(self) -> int:
        """Bytes that the write-ahead log may hold before they are copied into the database."""
        return self.size * 2 // 3

    def hold(self, make_room: Callable[[], None] | None = None) -> bool:
        """Whether the room is there; where it was given up, see if it can be had again, once a second. make_room has
        the store give back what it does not need.
        """
        if self._is_held:
            return True
        now = time.monotonic()
        if now - self._tried >= _INTERVAL_S:
            self._tried = now
            self._is_held = self._take()
            if not self._is_held and make_room is not None:
                make_room()
                self._is_held = self._take()
        return self._is_held

    def _take(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            has = os.fstat(descriptor).st_blocks * 512
            room = os.fstatvfs(descriptor)
            wanted = max(min(SIZE, (room.f_bavail * room.f_frsize + has) // _SHARE), _SMALLEST)
            if has < wanted:
                os.posix_fallocate(descriptor, 0, wanted)
            self.size = wanted
        except OSError:
            self.give_up()
            return False
        finally:
            os.close(descriptor)
        return True

    def give_up(self) -> None:
        """Let the store have the room."""
        self._is_held = False
        self._tried = time.monotonic()
        with contextlib.suppress(OSError):
            os.unlink(self._path)
