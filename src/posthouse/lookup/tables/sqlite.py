"""sqlite: tables: queries to an SQLite file, described by a .cf file (sqlite_table(5))."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading

from posthouse.errors import LookupFailed
from posthouse.lookup import notices
from posthouse.lookup.query_template import QuerySource, is_wanted, join_results, read_source
from posthouse.lookup.table import BadTable, Options, Table, Unavailable

BUSY_S = 5.0  # how long a query waits for one who writes


class SqliteTable(Table):
    """Rows of a database; read only. Each thread has a connection of its own."""

    blocking = True

    def __init__(self, source: QuerySource, options: Options) -> None:
        super().__init__(options)
        self._source = source
        self._local = threading.local()

    def get(self, key: str) -> str | None:
        source = self._source
        if not is_wanted(source.domains, key):
            return None
        query = source.query.fill(key, lambda text: text.replace("'", "''"))
        if query is None:
            return None
        try:
            rows = self._connection().execute(query)
            return join_results(self.spec, source, key, (row[0] for row in rows))
        except sqlite3.OperationalError as problem:
            self._forget()
            if _is_syntax(problem):
                text = f"dict_sqlite_lookup: {source.path}: SQL prepare failed: {problem}?"
            else:
                text = f"dict_sqlite_lookup: {source.path}: {problem}"
        except (sqlite3.Error, sqlite3.Warning, ValueError) as problem:
            self._forget()
            text = f"dict_sqlite_lookup: {source.path}: {problem}"
        notices.warn(text)
        raise LookupFailed(self.spec, text)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        path = self._source.settings["dbpath"]
        inode = os.stat(path).st_ino if os.path.exists(path) else 0
        if connection is not None and self._local.inode == inode:
            return connection
        if connection is not None:
            self._forget()
        connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=BUSY_S)
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        self._local.connection, self._local.inode = connection, inode
        return connection

    def _forget(self) -> None:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
            self._local.connection = None


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


def _is_syntax(problem: sqlite3.OperationalError) -> bool:
    return "syntax error" in str(problem) or str(problem).startswith("no such")


def open_table(name: str, options: Options) -> Table:
    """The table that the file of that name describes."""
    try:
        source = read_source(name, options.settings, ("dbpath",))
    except OSError as error:
        return Unavailable(options, f"open {name}: {error.strerror}")
    if not source.settings.get("dbpath"):
        raise BadTable(f"bad string length 0 < 1: {source.prefix}dbpath = ")
    return SqliteTable(source, options)
