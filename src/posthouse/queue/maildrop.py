"""What sendmail(1) left in maildrop/ and pickup has not taken yet, as a listing shows it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from posthouse.errors import ProtocolError
from posthouse.protocols import maildrop_file
from posthouse.queue.store import Listed, QueueName

_SHOWN = 10_000


def listing(queue_directory: str) -> Iterator[Listed]:
    """One row for each complete file; nothing where the folder may not be read."""
    folder = os.path.join(queue_directory, "maildrop")
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))[:_SHOWN]
    except OSError:
        return
    for name in names:
        try:
            yield _row(name, os.path.join(folder, name))
        except (OSError, ProtocolError):
            continue


def remove_all(queue_directory: str) -> int:
    """Remove what waits there; how many messages that were."""
    folder = os.path.join(queue_directory, "maildrop")
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return 0
    return sum(remove(queue_directory, name) for name in names)


def remove(queue_directory: str, name: str) -> bool:
    """Remove one message; whether it was there. pickup may have been quicker."""
    try:
        os.unlink(os.path.join(queue_directory, "maildrop", name))
    except OSError:
        return False
    return True


def _row(name: str, path: str) -> Listed:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        line = file.readline(maildrop_file.ENVELOPE_LIMIT)
    envelope, arrival = maildrop_file.read_envelope(line)
    recipients = tuple((recipient.address, "") for recipient in envelope.recipients)
    return Listed(name, QueueName.MAILDROP, arrival, arrival, size - len(line), envelope.sender, recipients)
