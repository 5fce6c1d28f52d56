"""The queue store's file: tables, statements, and reading messages back. Synchronous; one process at a time owns it.

A message is one row of `message`; the reasons why recipients wait, and which are done, are rows of `progress`, which
exist only for messages that were not finished at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from posthouse.mail.message import QueuedMessage
from posthouse.queue import record
from posthouse.queue.queue_id import row_number
from posthouse.queue.reserve import Reserve
from posthouse.queue.store import Listed, QueueName

HOLD, REQUEUE = 1, 2  # values of message.hold; 0 is free to be delivered

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
  id INTEGER PRIMARY KEY, queue_id TEXT NOT NULL, arrival REAL NOT NULL, due REAL NOT NULL, hold INTEGER NOT NULL,
  expire INTEGER NOT NULL, progressed INTEGER NOT NULL, size INTEGER NOT NULL, sender NOT NULL, envelope TEXT NOT NULL,
  header_length INTEGER NOT NULL, spooled TEXT, content BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS message_due ON message(due) WHERE hold = 0;
CREATE INDEX IF NOT EXISTS message_held ON message(hold) WHERE hold <> 0;
CREATE INDEX IF NOT EXISTS message_spooled ON message(spooled) WHERE spooled IS NOT NULL;
CREATE TABLE IF NOT EXISTS progress (
  message INTEGER NOT NULL, number INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (message, number)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS message_gone AFTER DELETE ON message WHEN old.progressed
  BEGIN DELETE FROM progress WHERE message = old.id; END;
"""
SCHEMA_VERSION = 1
COLUMNS = 13
_ALL = "id, queue_id, arrival, due, hold, expire, progressed, size, sender, envelope, header_length, spooled, content"
_LISTING = "SELECT id, queue_id, arrival, due, hold, expire, progressed, size, sender, envelope FROM message"
Row = tuple[Any, ...]


def connect(path: str) -> sqlite3.Connection:
    """Open or create the store. A commit returns when the write-ahead log is on stable storage."""
    try:
        return _connect(path)
    except sqlite3.Error as error:
        # On a full disk even reading takes a little room: the log and its index.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise
        Reserve(reserve_path(path)).give_up()
        return _connect(path)


def limit_log(connection: sqlite3.Connection, size: int) -> None:
    """Copy the write-ahead log into the database when it has so many bytes, at most 8 MB."""
    connection.execute(f"PRAGMA wal_autocheckpoint = {max(16, min(2000, size // 4096))}")


def reserve_path(path: str) -> str:
    """Where the reserve of the store at path is."""
    return f"{path}.reserve"


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=10)
    connection.execute("PRAGMA page_size = 4096")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 2000")
    connection.execute("PRAGMA journal_size_limit = 33554432")
    connection.execute("PRAGMA cache_size = -16384")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"{path} was written by a later version (schema {version})")
    if version < SCHEMA_VERSION:
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return connection


def write_message(message: QueuedMessage) -> Row:
    """The row of a new message."""
    kept, header_length, spooled = record.write_content(message.content)
    return (
        row_number(message.queue_id),
        message.queue_id,
        message.arrival,
        message.due or message.arrival,
        HOLD if message.hold else 0,
        int(message.forced_expire),
        0,
        message.size,
        record.write_sender(message.envelope.sender),
        record.write_envelope(message.envelope),
        header_length,
        spooled,
        kept,
    )


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Many rows in few statements: each statement is a chance for another thread to take the interpreter away."""
    for start, count in _portions(len(rows)):
        places = ",".join([f"({','.join('?' * COLUMNS)})"] * count)
        values = [value for row in rows[start : start + count] for value in row]
        connection.execute(f"INSERT INTO message ({_ALL}) VALUES {places}", values)  # noqa: S608


def remove(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    for start, count in _portions(len(numbers)):
        places = ",".join("?" * count)
        connection.execute(f"DELETE FROM message WHERE id IN ({places})", numbers[start : start + count])  # noqa: S608


def _portions(total: int) -> Iterator[tuple[int, int]]:
    """(start, count) with counts that are powers of two, so that few different statements are ever prepared."""
    start = 0
    while start < total:
        count = 64
        while count > total - start:
            count //= 2
        yield start, count
        start += count


def read_message(connection: sqlite3.Connection, row: Row, spool_directory: str) -> QueuedMessage:
    """The message of a row with all columns, with its progress."""
    number, queue_id, arrival, due, hold, expire, progressed, size, sender, envelope, header_length, spooled, kept = row
    message = QueuedMessage(
        queue_id=queue_id,
        arrival=arrival,
        envelope=record.read_envelope(record.read_sender(sender), envelope),
        content=record.read_content(kept, header_length, spooled, spool_directory),
        size=size,
        due=due,
        hold=hold == HOLD,
        forced_expire=bool(expire),
    )
    if progressed:
        for (data,) in connection.execute("SELECT data FROM progress WHERE message = ? ORDER BY number", (number,)):
            record.apply_progress(message, data)
    return message


def fetch(connection: sqlite3.Connection, number: int) -> Row | None:
    row: Row | None = connection.execute(f"SELECT {_ALL} FROM message WHERE id = ?", (number,)).fetchone()  # noqa: S608
    return row


def due_numbers(connection: sqlite3.Connection, now: float, limit: int, exclude: set[int]) -> list[int]:
    """Row numbers of messages whose time has come, the longest waiting first; bounded by limit and exclude."""
    found: list[int] = []
    rows = connection.execute(
        "SELECT id FROM message WHERE hold = 0 AND due <= ? ORDER BY due LIMIT ?", (now, limit + len(exclude))
    )
    for (number,) in rows:
        if number not in exclude:
            found.append(number)
            if len(found) == limit:
                break
    return found


def listing(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, Listed]]:
    """At most limit messages with a row number above after, in that order, which is the order of arrival."""
    rows = connection.execute(f"{_LISTING} WHERE id > ? ORDER BY id LIMIT ?", (after, limit)).fetchall()
    return [(row[0], _listed(connection, row)) for row in rows]


def _listed(connection: sqlite3.Connection, row: Row) -> Listed:
    number, queue_id, arrival, due, hold, expire, progressed, size, sender, envelope = row
    done: set[int] = set()
    reasons: dict[int, str] = {}
    try:
        addresses = record.recipient_addresses(envelope)
        query = "SELECT data FROM progress WHERE message = ? ORDER BY number"
        for (data,) in connection.execute(query, (number,)) if progressed else ():
            record.note_reasons(data, done, reasons)
    except (ValueError, KeyError, TypeError, IndexError):
        addresses = []  # it is damaged, and the rest of the listing is not
    where = QueueName.DEFERRED if reasons else QueueName.INCOMING
    if hold:
        where = QueueName.HOLD if hold == HOLD else QueueName.MAILDROP
    recipients = tuple(
        (address, reasons.get(index, "")) for index, address in enumerate(addresses) if index not in done
    )
    return Listed(queue_id, where, arrival, due, size, record.read_sender(sender), recipients, bool(expire))


def add_progress(connection: sqlite3.Connection, number: int, data: str) -> None:
    """Another record of progress, unless the message has gone meanwhile."""
    connection.execute("UPDATE message SET progressed = 1 WHERE id = ? AND progressed = 0", (number,))
    connection.execute(
        "INSERT INTO progress SELECT ?1, 1 + (SELECT coalesce(max(number), 0) FROM progress WHERE message = ?1), ?2"
        " WHERE EXISTS (SELECT 1 FROM message WHERE id = ?1)",
        (number, data),
    )


def change(connection: sqlite3.Connection, assignment: str, condition: str, queue_ids: Iterable[str]) -> int:
    """UPDATE each of these messages where the condition holds; how many there were. Both texts are constants."""
    statement = f"UPDATE message SET {assignment} WHERE id = ? AND {condition}"  # noqa: S608
    return sum(connection.execute(statement, (row_number(name),)).rowcount for name in queue_ids)
