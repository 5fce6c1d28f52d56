"""Locks on mailbox files: fcntl, flock and dotlock (mailbox_delivery_lock of postconf(5))."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_BUSY = (errno.EAGAIN, errno.EACCES, errno.EINTR)


class LockFailed(Exception):
    """A lock was not to be had; text says which and why."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.text, self.number = text, number


@dataclass(frozen=True, slots=True)
class Patience:
    """attempts tries, delay (s) apart; a lock file older than stale (s) is taken away."""

    attempts: int = 20
    delay: float = 1.0
    stale: float = 500.0


def lock_file(descriptor: int, kinds: Sequence[str], patience: Patience) -> None:
    """Take the fcntl and flock locks that are asked for; they end with the descriptor. Raises LockFailed."""
    takers: dict[str, Callable[[], None]] = {
        "fcntl": lambda: fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB),
        "flock": lambda: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB),
    }
    for kind in kinds:
        if kind in takers:
            _try(takers[kind], patience)


def _try(take: Callable[[], None], patience: Patience) -> None:
    for attempt in range(1, max(1, patience.attempts) + 1):
        try:
            take()
        except OSError as error:
            if error.errno not in _BUSY or attempt >= patience.attempts:
                words = os.strerror(error.errno or 0)
                raise LockFailed(f"unable to lock for exclusive access: {words}", error.errno or 0) from None
        else:
            return
        time.sleep(patience.delay)


def make_dotlock(path: str, patience: Patience) -> Callable[[], None]:
    """Make path.lock, waiting for another's to go; the answer takes it away. Raises LockFailed."""
    name = path + ".lock"
    for attempt in range(1, max(1, patience.attempts) + 1):
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))
            return lambda: _remove(name)
        except OSError as error:
            number = error.errno or 0
            if number != errno.EEXIST:
                break
        with contextlib.suppress(OSError):
            if time.time() - os.lstat(name).st_ctime > patience.stale:
                os.unlink(name)
                continue
        if attempt < patience.attempts:
            time.sleep(patience.delay)
    raise LockFailed(f"unable to create lock file {name}: {os.strerror(number)}", number)


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name)
