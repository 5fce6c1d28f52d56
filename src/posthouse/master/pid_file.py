"""<queue_directory>/pid/master.pid: locked as long as the house is open, so that it opens once (master(8))."""

from __future__ import annotations

import fcntl
import os


class AlreadyRunning(Exception):
    """Somebody else holds the lock; pid is who (0 unknown)."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


def path_in(queue_directory: str) -> str:
    """Where the file is."""
    return os.path.join(queue_directory, "pid", "master.pid")


def take(queue_directory: str) -> int:
    """Lock the file; the descriptor holds the lock in this process and its children. Raises AlreadyRunning."""
    fd = os.open(path_in(queue_directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise AlreadyRunning(_number_in(queue_directory)) from None
    return fd


def write(fd: int, pid: int) -> None:
    """Say who holds the lock."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{pid:>32}\n".encode(), 0)


def running(queue_directory: str) -> int:
    """The process id of the master that is up; 0 if none is."""
    try:
        fd = os.open(path_in(queue_directory), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _number_in(queue_directory)
    finally:
        os.close(fd)
    return 0


def _number_in(queue_directory: str) -> int:
    try:
        with open(path_in(queue_directory), encoding="ascii") as file:
            return int(file.read(64).strip() or 0)
    except (OSError, ValueError):
        return 0
