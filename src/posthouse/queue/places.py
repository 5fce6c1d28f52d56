"""Where a worker's queue and its sockets lie below queue_directory."""

from __future__ import annotations

import glob
import os

PUBLIC, PRIVATE = "public", "private"


def stores(queue_directory: str) -> list[str]:
    """The files of all stores, in the order of their numbers."""
    found = glob.glob(os.path.join(glob.escape(queue_directory), "posthouse", "queue-*.sqlite"))
    return sorted(found, key=lambda path: (len(path), path))


def spool(queue_directory: str) -> str:
    """The folder of body files."""
    return os.path.join(queue_directory, "posthouse", "spool")


def socket_path(queue_directory: str, kind: str, number: int) -> str:
    """The socket of worker number: PUBLIC for anybody (listing, flushing), PRIVATE for root and mail_owner."""
    return os.path.join(queue_directory, kind, f"queue-{number}")


def sockets(queue_directory: str, kind: str) -> list[str]:
    """Sockets of all workers, also of some that are gone."""
    found = glob.glob(os.path.join(glob.escape(queue_directory), kind, "queue-*"))
    return sorted(found, key=lambda path: (len(path), path))
