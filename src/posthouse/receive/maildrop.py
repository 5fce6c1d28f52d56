"""Leaving a message in maildrop/, where pickup finds it whether or not the mail system is up (postdrop(1)).

Any user may leave one: docs/decisions/maildrop.md tells why no program with extra rights is needed for that.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterable

FOLDER = "maildrop"
TEMPORARY_PREFIX = ".new."
CHUNK = 1 << 20


class TooLarge(Exception):
    """More than the limit allows."""


def leave(queue_directory: str, parts: Iterable[bytes], limit: int) -> str:
    """Write a message; it is durable when this returns its name. limit is in bytes, 0 for none.

    Raises TooLarge and OSError, and leaves nothing then.
    """
    folder = os.path.join(queue_directory, FOLDER)
    name = secrets.token_hex(16)
    temporary = os.path.join(folder, TEMPORARY_PREFIX + name)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _write(fd, parts, limit)
        os.fchmod(fd, 0o444)
        os.fsync(fd)
        os.rename(temporary, os.path.join(folder, name))
        _sync_name(folder, fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        os.close(fd)
    return name


def _write(fd: int, parts: Iterable[bytes], limit: int) -> None:
    total = 0
    for part in parts:
        total += len(part)
        if limit and total > limit:
            raise TooLarge(limit)
        view = memoryview(part)
        while view:
            view = view[os.write(fd, view) :]


def _sync_name(folder: str, fd: int) -> None:
    """Make the new name durable. Who may not open the folder syncs the file: its rename is in the same journal."""
    try:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        os.fsync(fd)
        return
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)


def wake_pickup(queue_directory: str) -> bool:
    """Tell a running mail system that there is something; whether it heard. If not, it looks later by itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto(b"W", os.path.join(queue_directory, "public", "pickup"))
        except OSError:
            return False
    return True
