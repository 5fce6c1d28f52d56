"""Greylisting's memory in one SQLite file, which several processes may share.

A statement takes some ten microseconds and never waits for the disk: after a power failure the file is whole, and at
most the last moments are forgotten, for which a sender comes once more.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator

from posthouse.policy.greylist.store import Entry, Kept, Kind, StoreFailed

BUSY_S = 0.2  # how long another process may keep us waiting
CHECKPOINT_AFTER = 2000  # statements; by a thread, since it waits for the disk
_PAGE = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
  kind TEXT NOT NULL, key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
  until INTEGER NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_until ON seen (until);
"""
_PUT = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)"
_EXPIRE = "DELETE FROM seen WHERE (kind, key) IN (SELECT kind, key FROM seen WHERE until < ? LIMIT ?)"


class SqliteStore:
    """The contract of store.Store. A broken file is put aside (greylist.db.broken) when it is opened."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.put_aside = ""
        self._database: sqlite3.Connection | None = self._open()
        self._writes, self._checkpoint = 0, threading.Thread()

    async def get(self, kind: Kind, key: str) -> Entry | None:
        with self._using() as database:
            row = database.execute(
                "SELECT first, last, count FROM seen WHERE kind = ? AND key = ?", (kind.value, _text(key))
            ).fetchone()
        return None if row is None else Entry(*row)

    async def put(self, kind: Kind, key: str, entry: Entry, lifetime: int) -> None:
        with self._using() as database:
            database.execute(_PUT, _row(Kept(kind, key, entry), lifetime))
        self._writes += 1
        if self._writes >= CHECKPOINT_AFTER and not self._checkpoint.is_alive():
            self._writes = 0
            self._checkpoint = threading.Thread(target=_checkpoint, args=(self._path,), daemon=True)
            self._checkpoint.start()

    async def put_many(self, kept: list[Kept], lifetime: int) -> None:
        with self._using() as database:
            database.execute("BEGIN")
            database.executemany(_PUT, [_row(one, lifetime) for one in kept])
            database.execute("COMMIT")

    async def delete(self, kind: Kind, key: str) -> bool:
        with self._using() as database:
            return (
                database.execute("DELETE FROM seen WHERE kind = ? AND key = ?", (kind.value, _text(key))).rowcount > 0
            )

    async def expire(self, now: int, limit: int) -> int:
        with self._using() as database:
            return database.execute(_EXPIRE, (now, limit)).rowcount

    async def scan(self, kind: Kind | None, text: str) -> AsyncIterator[Kept]:
        """In the order of kinds and keys, a page at a time: entries that change meanwhile do no harm."""
        at = ("", "")
        while True:
            with self._using() as database:
                rows = database.execute(
                    "SELECT kind, key, first, last, count FROM seen WHERE (kind, key) > (?, ?) AND (? = '' OR kind = ?)"
                    " AND instr(lower(key), ?) ORDER BY kind, key LIMIT ?",
                    (*at, *(2 * ("" if kind is None else kind.value,)), text.lower(), _PAGE),
                ).fetchall()
            for row in rows:
                yield Kept(Kind(row[0]), row[1], Entry(*row[2:]))
            if len(rows) < _PAGE:
                return
            at = rows[-1][:2]

    async def close(self) -> None:
        if self._checkpoint.is_alive():
            self._checkpoint.join()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self._path)
        except sqlite3.DatabaseError as problem:
            if isinstance(problem, sqlite3.OperationalError):
                raise StoreFailed(f"{self._path}: {problem}") from problem
        self.put_aside = f"{self._path}.broken"
        try:
            os.replace(self._path, self.put_aside)
            for end in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path + end)
            return _connect(self._path)
        except (OSError, sqlite3.Error) as problem:
            raise StoreFailed(f"{self._path}: {problem}") from problem

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        if self._database is None:
            raise StoreFailed(f"{self._path}: it is closed")
        try:
            yield self._database
        except sqlite3.Error as problem:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StoreFailed(f"{self._path}: {problem}") from problem


def _row(kept: Kept, lifetime: int) -> tuple[str, str, int, int, int, int]:
    kind, key, entry = kept
    return kind.value, _text(key), entry.first, entry.last, entry.times, entry.last + lifetime


def _checkpoint(path: str) -> None:
    """Move what is in the log into the file, as far as nobody reads it, over a connection of its own."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=BUSY_S)) as database:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _text(key: str) -> str:
    """SQLite keeps text as UTF-8; other bytes are written out."""
    return key if key.isascii() else key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _connect(path: str) -> sqlite3.Connection:
    with contextlib.suppress(OSError):  # it is there already, or SQLite says it better
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:  # whoever owns the folder is to write in it, whoever of us came first
            folder = os.stat(os.path.dirname(path) or ".")
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        os.close(descriptor)
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, cached_statements=32)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA wal_autocheckpoint = 20000")
        database.execute("PRAGMA cache_size = -32000")
        database.execute("PRAGMA mmap_size = 1000000000")
        database.executescript(_SCHEMA)
        database.execute("SELECT count(*) FROM (SELECT 1 FROM seen LIMIT 1)").fetchone()
    except sqlite3.Error:
        database.close()
        raise
    return database
