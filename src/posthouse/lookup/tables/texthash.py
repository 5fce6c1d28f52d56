"""texthash: tables: the text itself, read whole into memory (DATABASE_README); changes are seen at once."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.lookup import notices
from posthouse.lookup.freshness import Watch, is_out_of_reach, stamp
from posthouse.lookup.indexed import TEXT_LIMIT
from posthouse.lookup.table import Options, Table, TableUnavailable
from posthouse.lookup.text_map import Problem, decode, read_entries


class TextTable(Table):
    """Keys and values of one text file."""

    def __init__(self, path: str, options: Options) -> None:
        super().__init__(options)
        self._path = path
        self._watch = Watch(path)
        self._table: dict[str, str] = {}
        self._failure = ""
        self._was_read = False
        self._refresh()

    def get(self, key: str) -> str | None:
        if self._watch.changed():
            self._read()
        if self._failure:
            raise TableUnavailable(self.spec, self._failure)
        return self._table.get(key)

    def entries(self) -> Iterator[tuple[str, str]]:
        self._refresh()
        if self._failure:
            raise TableUnavailable(self.spec, self._failure)
        return iter(self._table.items())

    @property
    def unavailable(self) -> str:
        self._refresh()
        return self._failure

    def _refresh(self) -> None:
        if self._watch.changed():
            self._read()

    def _read(self) -> None:
        try:
            with open(self._path, "rb") as file:
                content = file.read(TEXT_LIMIT)
        except OSError as error:
            if self._was_read and is_out_of_reach(self._path):
                if stamp(self._path):
                    notices.out_of_reach(self._path)
                return
            failure = f"open database {self._path}: {error.strerror}"
            if failure != self._failure:
                notices.complain(failure)
            self._failure = failure
            return
        self._failure, self._table, self._was_read = "", {}, True
        for entry in read_entries(decode(content), utf8=self._utf8, ignoring=" -- ignoring this line"):
            if isinstance(entry, Problem):
                notices.warn(entry.shown(self._path))
                continue
            key = entry.key
            if self._folds:
                key = key.lower() if key.isascii() else key.casefold()
            if key in self._table:
                notices.warn(f'{self._path}, line {entry.number}: duplicate entry: "{entry.key}"')
            else:
                self._table[key] = entry.value


def open_table(name: str, options: Options) -> TextTable:
    """The table in the file of that name."""
    return TextTable(name, options)
