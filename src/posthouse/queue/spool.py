"""Files beside the store: the bodies of large messages, and the owner's lock. A file is durable before its row is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable

from posthouse.mail.message import QueuedMessage


class StoreInUse(Exception):
    """Another process owns this store."""


def sync_body(path: str) -> None:
    """Make a body file and its directory entry durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: str) -> None:
    """Make the entries of a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def body_path(message: QueuedMessage) -> str | None:
    """The spool file of a message; None where the store's row has the body."""
    body = message.content.body
    return None if isinstance(body, bytes) else body.path


def remove_files(paths: Iterable[str]) -> None:
    """Remove body files whose messages are gone; one that is not there is no harm."""
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            continue


def lock_owner(path: str) -> int:
    """Become the owner of the store at path until the descriptor is closed. Raises StoreInUse."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreInUse(path) from error
    return descriptor


def is_owned(path: str) -> bool:
    """Whether some process owns the store at path now."""
    try:
        os.close(lock_owner(path))
    except StoreInUse:
        return True
    return False
