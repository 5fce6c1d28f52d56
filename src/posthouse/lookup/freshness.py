"""Notices that a table's file has changed, at the price of one clock reading per lookup."""

from __future__ import annotations

import os
from time import monotonic

INTERVAL_S = 0.02  # a changed table is used after this time at the latest

Stamp = tuple[int, int, int] | None


def stamp(path: str) -> Stamp:
    """What identifies a file's content: inode, size and time of change (ns). None where there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def is_out_of_reach(path: str) -> bool:
    """Whether this process may not read the file."""
    try:
        with open(path, "rb"):
            return False
    except PermissionError:
        return True
    except OSError:
        return False


class Watch:
    """Whether any of some files differs from what it was when last asked. The first question answers yes."""

    __slots__ = ("_next", "_paths", "_stamps", "asked")

    def __init__(self, *paths: str) -> None:
        self._paths = paths
        self._stamps: tuple[Stamp, ...] = ()
        self._next = 0.0
        self.asked = False

    def changed(self) -> bool:
        """Asks the file system at most every INTERVAL_S."""
        now = monotonic()
        if now < self._next:
            return False
        self._next = now + INTERVAL_S
        stamps = tuple(map(stamp, self._paths))
        if self.asked and stamps == self._stamps:
            return False
        self._stamps, self.asked = stamps, True
        return True
