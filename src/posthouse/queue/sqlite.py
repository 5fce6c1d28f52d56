"""The queue on SQLite: one file per worker, write-ahead log, group commit. "250" means that a commit has returned."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from posthouse.errors import TemporaryFailure
from posthouse.mail.message import QueuedMessage
from posthouse.mail.status import Status
from posthouse.queue import orphans, record, rows, spool
from posthouse.queue.commit import CommitThread, is_full
from posthouse.queue.queue_id import row_number
from posthouse.queue.reserve import Reserve
from posthouse.queue.store import Listed, Settlement

_FULL = Status("4.3.1", 452, "Insufficient system storage")
_BROKEN = Status("4.3.0", 451, "Error: queue file write error")
_PAGE = 500  # messages per step of a listing
_STEP = 2000  # messages per transaction of a change to all


@dataclass(frozen=True, slots=True)
class _Put:
    row: rows.Row
    body: str | None


@dataclass(frozen=True, slots=True)
class _Settle:
    number: int
    settlement: Settlement
    children: tuple[_Put, ...]


@dataclass(frozen=True, slots=True)
class _Call:
    action: Callable[[sqlite3.Connection], Any]


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file of a store is no store any more."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class StoreFile:
    """The work on the file itself, in one thread; also how commands reach the queue while the mail system is down."""

    def __init__(self, path: str, spool_directory: str) -> None:
        self.path, self.spool_directory = path, spool_directory
        self._reserve = Reserve(rows.reserve_path(path))
        self._lock = -1
        self._taken_out: set[int] = set()
        self.damaged: list[str] = []
        self._may_have_files = True
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Take possession. Raises StoreInUse when another process has it, OSError and sqlite3.Error."""
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        os.makedirs(self.spool_directory, mode=0o700, exist_ok=True)
        self._lock = spool.lock_owner(self.path)
        try:
            self._connection = rows.connect(self.path)
            orphans.remove_orphans(self.path, self.spool_directory)
            self._reserve.hold()
            rows.limit_log(self._connection, self._reserve.log_limit)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the queue store is not open")
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            os.close(self._lock)

    def commit(self, work: list[Any]) -> list[Any]:
        """Puts and settlements in one transaction, then the calls. Where that fails, each for itself."""
        writes = [item for item in work if not isinstance(item, _Call)]
        failed: dict[int, TemporaryFailure] = {}
        if not self._reserve.hold(self._shrink):
            failed = {id(item): TemporaryFailure(_FULL) for item in writes if isinstance(item, _Put)}
            writes = [item for item in writes if isinstance(item, _Settle)]
        if writes and (failure := self._apply(writes)):
            self._apply_each(writes, failed, is_full=failure.status.dsn == _FULL.dsn)
        return [self._call(item) if isinstance(item, _Call) else failed.get(id(item)) for item in work]

    def _apply_each(self, writes: list[Any], failed: dict[int, TemporaryFailure], *, is_full: bool) -> None:
        """Each for itself. On a full disk what ends a delivery gets the reserve, and new mail is refused."""
        if is_full and any(isinstance(item, _Settle) for item in writes):
            self._reserve.give_up()
            self._reuse_log()
        for item in writes:
            refused = is_full and isinstance(item, _Put) and not self._reserve.hold()
            if failure := TemporaryFailure(_FULL) if refused else self._apply([item]):
                failed[id(item)] = failure

    def _shrink(self) -> None:
        """Give the disk back what messages that are gone have left in the database, where that is most of it."""
        try:
            total = self.connection.execute("PRAGMA page_count").fetchone()[0]
            if self.connection.execute("PRAGMA freelist_count").fetchone()[0] * 2 > total:
                self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            return  # no room even for that

    def _reuse_log(self) -> None:
        """Have the write-ahead log begin again at its start, where it needs no more room."""
        try:
            self.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        except sqlite3.Error:
            return  # the next round of records will try again

    def _call(self, item: _Call) -> Any:
        try:
            return item.action(self.connection)
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            return _failure(error)
        except Exception as error:
            self._roll_back()
            return error

    def _apply(self, work: list[Any]) -> TemporaryFailure | None:
        connection = self.connection
        puts = [item for item in work if isinstance(item, _Put)]
        settles = [item for item in work if isinstance(item, _Settle)]
        for item in settles:
            puts.extend(item.children)
        try:
            if bodies := [item.body for item in puts if item.body is not None]:
                self._may_have_files = True
                self._sync_bodies(bodies)
            connection.execute("BEGIN IMMEDIATE")
            if self._taken_out:
                rows.remove(connection, [item.row[0] for item in puts if item.row[0] in self._taken_out])
            rows.insert(connection, [item.row for item in puts])
            gone = [item.number for item in settles if self._is_finished(item)]
            files = self._files_of(gone)
            rows.remove(connection, gone)
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            return _failure(error)
        spool.remove_files(files)
        if self._taken_out:
            self._taken_out.difference_update(item.row[0] for item in puts)
            self._taken_out.difference_update(gone)
        return None

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            try:
                self.connection.execute("ROLLBACK")
            except sqlite3.Error:
                return  # SQLite has rolled back by itself

    def _sync_bodies(self, bodies: list[str]) -> None:
        for body in bodies:
            spool.sync_body(body)
        spool.sync_directory(self.spool_directory)

    def _files_of(self, numbers: list[int]) -> list[str]:
        if not numbers or not self._may_have_files:
            return []
        if not self.connection.execute("SELECT 1 FROM message WHERE spooled IS NOT NULL").fetchone():
            self._may_have_files = False
            return []
        found = []
        for number in numbers:
            row = self.connection.execute("SELECT spooled FROM message WHERE id = ?", (number,)).fetchone()
            if row and row[0]:
                found.append(f"{self.spool_directory}/{row[0].split(' ')[0]}")
        return found

    def _is_finished(self, item: _Settle) -> bool:
        """Whether nothing is left of the message; what is left is brought up to date."""
        settlement, number, connection = item.settlement, item.number, self.connection
        if settlement.finished:
            return True
        if settlement.unfinished and not settlement.due:
            rows.add_progress(connection, number, _progress(settlement))
            return False
        row = rows.fetch(connection, number)
        if row is None:
            return False
        message = rows.read_message(connection, row, self.spool_directory)
        if not set(message.open_recipients) - settlement.done:
            return True
        self._note_progress(message, item)
        return False

    def _note_progress(self, message: QueuedMessage, item: _Settle) -> None:
        """Another record of progress; at the end of a round (due is set) all records become one."""
        settlement, number, connection = item.settlement, item.number, self.connection
        data = _progress(settlement)
        if settlement.due:
            record.apply_progress(message, data)
            data = record.write_progress(
                sorted(message.done), message.deferred, warned=message.warned, attempts=message.attempts
            )
            connection.execute("DELETE FROM progress WHERE message = ?", (number,))
            connection.execute("UPDATE message SET due = ? WHERE id = ?", (settlement.due, number))
        rows.add_progress(connection, number, data)

    def read_or_hold(self, row: rows.Row) -> QueuedMessage | None:
        """The message of a row. One that cannot be read must not stand in the way of others: it is put on hold."""
        try:
            return rows.read_message(self.connection, row, self.spool_directory)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            self.connection.execute(f"UPDATE message SET hold = {rows.HOLD} WHERE id = ?", (row[0],))  # noqa: S608
            self.damaged.append(row[1])
            return None

    def take_out(self, queue_ids: Sequence[str]) -> list[QueuedMessage]:
        """Mark messages for another way through cleanup; all that are marked. A put under the same id replaces one."""
        connection = self.connection
        rows.change(connection, f"hold = {rows.REQUEUE}", "1", queue_ids)
        numbers = connection.execute("SELECT id FROM message WHERE hold = ?", (rows.REQUEUE,)).fetchall()
        self._taken_out = {number for (number,) in numbers}
        found = (rows.fetch(connection, number) for (number,) in numbers)
        return [rows.read_message(connection, row, self.spool_directory) for row in found if row]

    def delete(self, queue_ids: Sequence[str]) -> int:
        """Remove messages at once; how many there were."""
        numbers = [row_number(name) for name in queue_ids]
        files = self._files_of(numbers)
        statement = "DELETE FROM message WHERE id = ?"
        with _transaction(self.connection):
            count = sum(self.connection.execute(statement, (number,)).rowcount for number in numbers)
        spool.remove_files(files)
        return count

    def change(self, assignment: str, condition: str, queue_ids: Sequence[str]) -> int:
        with _transaction(self.connection):
            return rows.change(self.connection, assignment, condition, queue_ids)


class _transaction:  # noqa: N801 - reads as a word
    """BEGIN, and COMMIT at the end; an error rolls back (by the caller)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _failure(error: BaseException) -> TemporaryFailure:
    status = _FULL if is_full(error) else _BROKEN
    return TemporaryFailure(Status(status.dsn, status.code, status.text, str(error)))


class SqliteStore:
    """A QueueStore (see store.py for what each method promises)."""

    def __init__(self, path: str, spool_directory: str) -> None:
        """path: the file of this worker's share; spool_directory: where body files lie. Opens it at once.

        Raises StoreInUse, OSError, sqlite3.Error.
        """
        self.file = StoreFile(path, spool_directory)
        self.file.open()
        self._thread = CommitThread(self.file)
        self._thread.start()

    async def put(self, message: QueuedMessage) -> None:
        await self._thread.submit(_put(message))

    async def settle(self, settlement: Settlement) -> None:
        children = tuple(_put(child) for child in settlement.children)
        # Nobody waits for the end of a message: until it is recorded, a crash could only deliver it again.
        patient = settlement.finished and not children
        await self._thread.submit(_Settle(row_number(settlement.queue_id), settlement, children), patient=patient)

    async def _call(self, action: Callable[[sqlite3.Connection], Any]) -> Any:
        return await self._thread.submit(_Call(action))

    async def due(self, now: float, limit: int, exclude: frozenset[str] | set[str]) -> list[QueuedMessage]:
        numbers = {row_number(name) for name in exclude}

        def read(connection: sqlite3.Connection) -> list[QueuedMessage]:
            found = (rows.fetch(connection, number) for number in rows.due_numbers(connection, now, limit, numbers))
            return [message for row in found if row and (message := self.file.read_or_hold(row))]

        messages: list[QueuedMessage] = await self._call(read)
        return messages

    def take_damaged(self) -> Sequence[str]:
        damaged, self.file.damaged = self.file.damaged, []
        return damaged

    async def next_due(self) -> float | None:
        def read(connection: sqlite3.Connection) -> float | None:
            earliest: float | None = connection.execute("SELECT min(due) FROM message WHERE hold = 0").fetchone()[0]
            return earliest

        answer: float | None = await self._call(read)
        return answer

    async def get(self, queue_id: str) -> QueuedMessage | None:
        def read(connection: sqlite3.Connection) -> QueuedMessage | None:
            row = rows.fetch(connection, row_number(queue_id))
            return rows.read_message(connection, row, self.file.spool_directory) if row else None

        message: QueuedMessage | None = await self._call(read)
        return message

    async def list(self) -> AsyncIterator[Listed]:
        after = -1
        while page := await self._call(partial(rows.listing, after=after, limit=_PAGE)):
            for _, listed in page:
                yield listed
            after = page[-1][0]

    async def set_all_due(self, due: float) -> int:
        statement = (
            "UPDATE message SET due = ?1 WHERE id IN (SELECT id FROM message WHERE hold = 0 AND due > ?1 LIMIT ?2)"
        )
        total = 0
        while count := await self._call(lambda connection: connection.execute(statement, (due, _STEP)).rowcount):
            total += count
        return total

    async def set_due(self, queue_ids: Iterable[str], due: float) -> int:
        return await self._change(f"due = {float(due)!r}", "hold = 0", queue_ids)

    async def bring_forward(self, latest: float, due: float) -> int:
        statement = "UPDATE message SET due = ? WHERE hold = 0 AND due > ?"
        count: int = await self._call(lambda connection: connection.execute(statement, (due, latest)).rowcount)
        return count

    async def hold(self, queue_ids: Sequence[str]) -> int:
        return await self._change(f"hold = {rows.HOLD}", "hold = 0", queue_ids)

    async def release(self, queue_ids: Sequence[str]) -> int:
        return await self._change("hold = 0, due = arrival", f"hold = {rows.HOLD}", queue_ids)

    async def expire(self, queue_ids: Sequence[str]) -> int:
        return await self._change("expire = 1, due = arrival", "expire = 0", queue_ids)

    async def _change(self, assignment: str, condition: str, queue_ids: Iterable[str]) -> int:
        names = tuple(queue_ids)
        count: int = await self._call(lambda _: self.file.change(assignment, condition, names))
        return count

    async def delete(self, queue_ids: Sequence[str]) -> int:
        count: int = await self._call(lambda _: self.file.delete(queue_ids))
        return count

    async def requeue(self, queue_ids: Sequence[str]) -> Sequence[QueuedMessage]:
        messages: Sequence[QueuedMessage] = await self._call(lambda _: self.file.take_out(queue_ids))
        return messages

    async def close(self) -> None:
        """After all that was handed over is on stable storage."""
        await self._thread.stop()


def _progress(settlement: Settlement) -> str:
    return record.write_progress(
        sorted(settlement.done), settlement.deferred, warned=settlement.warned, attempts=settlement.attempts
    )


def _put(message: QueuedMessage) -> _Put:
    return _Put(rows.write_message(message), spool.body_path(message))
