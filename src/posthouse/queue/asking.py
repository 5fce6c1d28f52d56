"""How a command reaches the queue: over the workers' sockets, or in the stores themselves while nobody owns them.

Nothing here needs an event loop: commands start quickly. Changes by postsuper are made in the stores at once, also
while a worker owns them (the database allows that), and the workers are told.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from posthouse.mail.message import QueuedMessage
from posthouse.queue import maildrop, places, rows, spool
from posthouse.queue.queue_id import row_number
from posthouse.queue.store import QueueName

_PATIENCE_S = 60.0
_PAGE = 500
_SET = {
    "flush": ("due = arrival", "hold = 0 AND due > arrival"),
    "hold": (f"hold = {rows.HOLD}", "hold = 0"),
    "release": ("hold = 0, due = arrival", f"hold = {rows.HOLD}"),
    "expire": ("expire = 1, due = arrival", "expire = 0"),
    "requeue": (f"hold = {rows.REQUEUE}", f"hold <> {rows.REQUEUE}"),
}
_IN_QUEUE = {
    QueueName.HOLD.value: f"hold = {rows.HOLD}",
    QueueName.MAILDROP.value: f"hold = {rows.REQUEUE}",
    QueueName.DEFERRED.value: "hold = 0 AND progressed = 1",
    QueueName.INCOMING.value: "hold = 0 AND progressed = 0",
    QueueName.ACTIVE.value: "hold = 0 AND progressed = 0",
}
QUEUES = tuple(_IN_QUEUE)


def _connect(path: str) -> socket.socket | None:
    """A connection to a worker; None where nobody listens any more. Raises PermissionError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_PATIENCE_S)
    try:
        connection.connect(path)
    except (ConnectionRefusedError, FileNotFoundError):
        connection.close()
        return None
    return connection


def ask(connection: socket.socket, request: dict[str, Any]) -> Iterator[Any]:
    """Send a request; the lines of the answer, without the last. Raises OSError and ValueError when it breaks off."""
    with connection, connection.makefile("rb") as answer:
        connection.sendall(json.dumps(request).encode() + b"\n")
        for line in answer:
            value = json.loads(line)
            if isinstance(value, dict) and "end" in value:
                return
            yield value
    raise ConnectionError("the answer broke off")


def workers(queue_directory: str, kind: str = places.PUBLIC) -> list[socket.socket]:
    """A connection to each worker that runs; [] when the mail system is down."""
    found = (_connect(path) for path in places.sockets(queue_directory, kind))
    return [connection for connection in found if connection is not None]


def listing(queue_directory: str, connections: Sequence[socket.socket]) -> Iterator[list[Any]]:
    """Rows of all messages (control.row_of), from the workers, and from stores that no worker owns where those may be
    read.
    """
    for number, connection in enumerate(connections):
        yield from ask(connection, {"do": "list", "maildrop": number == 0})
    if not connections:
        yield from map(_row, maildrop.listing(queue_directory))
    for path in _readable_stores(queue_directory):
        if not connections or not spool.is_owned(path):
            yield from stored(path)


def _readable_stores(queue_directory: str) -> list[str]:
    return [path for path in places.stores(queue_directory) if os.access(path, os.R_OK | os.W_OK)]


def _row(listed: Any) -> list[Any]:
    recipients = [list(pair) for pair in listed.recipients]
    queue = listed.queue.value
    return [listed.queue_id, queue, listed.arrival, listed.size, listed.forced_expire, listed.sender, recipients]


def stored(path: str) -> Iterator[list[Any]]:
    """Rows of all messages of one store, read from its file."""
    connection = _open(path)
    after = -1
    try:
        while page := rows.listing(connection, after, _PAGE):
            for number, listed in page:
                after = number
                yield _row(listed)
    finally:
        connection.close()


def _open(path: str) -> sqlite3.Connection:
    return rows.connect(path)


def find(queue_directory: str, queue_id: str) -> QueuedMessage | None:
    """A message with its content, from whichever store has it. Raises PermissionError."""
    folder = os.path.join(queue_directory, "posthouse")
    if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
        raise PermissionError(13, "Permission denied", folder)
    for path in places.stores(queue_directory):
        connection = _open(path)
        try:
            row = rows.fetch(connection, row_number(queue_id))
            if row is not None:
                return rows.read_message(connection, row, places.spool(queue_directory))
        finally:
            connection.close()
    return None


class Changes:
    """What postsuper does to the stores. Each method says which messages it concerned."""

    def __init__(self, queue_directory: str) -> None:
        self._directory = queue_directory
        self._stores = [_open(path) for path in places.stores(queue_directory)]
        self.withdrawn: list[str] = []

    def apply(self, action: str, queue_id: str) -> bool:
        """One of "delete", "hold", "release", "expire", "requeue" for one message; whether it was there and changed."""
        if action == "delete" and maildrop.remove(self._directory, queue_id):
            return True
        return any(self._apply(connection, action, queue_id) for connection in self._stores)

    def apply_to_many(self, action: str, queue_ids: Sequence[str]) -> Iterator[tuple[int, int]]:
        """As apply, in transactions of bounded size: after each, how many messages were looked for and how many
        changed.
        """
        for start in range(0, len(queue_ids), _PAGE):
            portion, changed = queue_ids[start : start + _PAGE], 0
            for connection in self._stores:
                connection.execute("BEGIN IMMEDIATE")
                changed += sum(self._apply(connection, action, queue_id) for queue_id in portion)
                connection.execute("COMMIT")
            yield len(portion), changed

    def apply_to_all(self, action: str, queues: Sequence[str]) -> int:
        """The action for all messages of these queues; how many there were."""
        where = " OR ".join(f"({_IN_QUEUE[queue]})" for queue in queues)
        total = 0
        for connection in self._stores:
            ids = connection.execute(f"SELECT queue_id FROM message WHERE {where}").fetchall()  # noqa: S608
            connection.execute("BEGIN IMMEDIATE")
            total += sum(self._apply(connection, action, queue_id) for (queue_id,) in ids)
            connection.execute("COMMIT")
        if action == "delete" and QueueName.MAILDROP.value in queues:
            total += maildrop.remove_all(self._directory)
        return total

    def _apply(self, connection: sqlite3.Connection, action: str, queue_id: str) -> int:
        number = (row_number(queue_id),)
        if action == "delete":
            count = self._delete(connection, "id = ?", number)
        else:
            assignment, condition = _SET[action]
            count = connection.execute(
                f"UPDATE message SET {assignment} WHERE id = ? AND {condition}",  # noqa: S608
                number,
            ).rowcount
        if count and action not in ("release", "expire", "flush"):
            self.withdrawn.append(queue_id)
        return count

    def _delete(self, connection: sqlite3.Connection, condition: str, values: tuple[int]) -> int:
        found = connection.execute(f"SELECT spooled FROM message WHERE {condition}", values).fetchone()  # noqa: S608
        if found is None:
            return 0
        connection.execute(f"DELETE FROM message WHERE {condition}", values)  # noqa: S608
        if found[0]:
            spool.remove_files([os.path.join(places.spool(self._directory), found[0].split(" ")[0])])
        return 1

    def finish(self) -> None:
        """Tell the workers that run."""
        for connection in self._stores:
            connection.close()
        for worker in workers(self._directory, places.PRIVATE):
            list(ask(worker, {"do": "changed", "withdrawn": self.withdrawn}))
