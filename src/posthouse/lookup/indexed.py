"""hash:, btree: and lmdb: tables as they are read: the index, or the text where it is newer or the index is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from posthouse.lookup import notices
from posthouse.lookup.freshness import Watch, is_out_of_reach, stamp
from posthouse.lookup.table import Options, Table, TableUnavailable
from posthouse.lookup.text_map import Problem, decode, read_entries

TEXT_LIMIT = 1 << 30  # bytes of a text that is read without an index


class IndexedTable(Table):
    """A table with a text file and an index of it (suffix). Changes are seen without a reload."""

    def __init__(self, path: str, suffix: str, options: Options) -> None:
        super().__init__(options)
        self.path, self.index_path = path, path + suffix
        self._is_aliases = options.is_aliases
        self._watch = Watch(self.index_path, path)
        self._failure = ""
        self._get: Callable[[str], str | None] = _nothing
        self._entries: Callable[[], Iterator[tuple[str, str]]] = _no_entries
        self._refresh()

    def get(self, key: str) -> str | None:
        if self._watch.changed():
            self._read()
        if self._failure:
            raise TableUnavailable(self.spec, self._failure)
        return self._get(key)

    def entries(self) -> Iterator[tuple[str, str]]:
        self._refresh()
        if self._failure:
            raise TableUnavailable(self.spec, self._failure)
        return self._entries()

    @property
    def unavailable(self) -> str:
        self._refresh()
        return self._failure

    def _refresh(self) -> None:
        if self._watch.changed():
            self._read()

    def _read(self) -> None:
        before = self._failure
        failure = self._read_index() and self._read_text()
        if failure and not before and self._get is not _nothing and self._is_out_of_reach():
            # It was read when this process had more rights: that serves on until a process with them reads it anew.
            if stamp(self.index_path) or stamp(self.path):
                notices.out_of_reach(self.path)
            return
        self._failure = failure
        if self._failure and self._failure != before:
            notices.complain(self._failure)

    def _is_out_of_reach(self) -> bool:
        return is_out_of_reach(self.index_path) or is_out_of_reach(self.path)

    def _read_index(self) -> str:
        """Why the index does not serve; "" when it does."""
        import lmdb

        from posthouse.lookup.index import IndexReader, is_index

        try:
            indexed = os.stat(self.index_path).st_mtime_ns
            if _modified(self.path) > indexed:
                return f"database {self.index_path} is older than source file {self.path}"
            if not is_index(self.index_path):
                return f"open database {self.index_path}: not an index of this mail system; run postmap or postalias"
            reader = IndexReader(self.index_path)
        except OSError as error:
            return f"open database {self.index_path}: {error.strerror}"
        except lmdb.Error as error:
            return f"open database {self.index_path}: damaged: {error}"
        self._get = reader.get
        self._entries = reader.entries
        return ""

    def _read_text(self) -> str:
        """Why there is no text to use instead; "" when there is."""
        try:
            with open(self.path, "rb") as file:
                content = file.read(TEXT_LIMIT)
        except OSError as error:
            if isinstance(error, FileNotFoundError) or os.path.exists(self.index_path):
                return self._index_failure()
            return f"open {self.path}: {error.strerror}"
        table = self._parsed(decode(content))
        self._get, self._entries = table.get, lambda: iter(table.items())
        return ""

    def _index_failure(self) -> str:
        try:
            with open(self.index_path, "rb"):
                return f"open database {self.index_path}: not a usable index, and no text to read instead"
        except OSError as error:
            return f"open database {self.index_path}: {error.strerror}"

    def _parsed(self, text: str) -> dict[str, str]:
        table: dict[str, str] = {}
        if self._is_aliases:
            from posthouse.lookup.aliases_text import read_aliases

            found = read_aliases(text, utf8=self._utf8)
        else:
            found = read_entries(text, utf8=self._utf8)
        for entry in found:
            if isinstance(entry, Problem):
                notices.warn(entry.shown(self.path))
                continue
            key = entry.key
            if self._folds:
                key = key.lower() if key.isascii() else key.casefold()
            if table.setdefault(key, entry.value) is not entry.value:
                notices.warn(f'{self.path}, line {entry.number}: duplicate entry: "{key}"')
        return table


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _nothing(_key: str) -> str | None:
    return None


def _no_entries() -> Iterator[tuple[str, str]]:
    return iter(())
