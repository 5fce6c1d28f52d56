"""inline: tables: the entries stand in main.cf itself, "inline:{ key=value, { key = value with spaces } }"."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.lookup.braces import closing_brace, split_items
from posthouse.lookup.table import BadTable, Options, Table


class InlineTable(Table):
    """A few fixed keys."""

    def __init__(self, table: dict[str, str], options: Options) -> None:
        super().__init__(options)
        self._table = table

    def get(self, key: str) -> str | None:
        return self._table.get(key)

    def entries(self) -> Iterator[tuple[str, str]]:
        return iter(self._table.items())


def open_table(name: str, options: Options) -> InlineTable:
    """The table that name spells out. A key that stands twice has the last value."""
    need = f': "{options.spec}"; need "inline:{{name=value...}}"'
    end = closing_brace(name) if name.startswith("{") else -1
    if end < 0 or name[end + 1 :].strip():
        raise BadTable(f"bad syntax{need}")
    table: dict[str, str] = {}
    for item in split_items(name[1:end]):
        if item.startswith("{"):
            inner = closing_brace(item)
            if inner < 0 or item[inner + 1 :].strip():
                raise BadTable(f"syntax error after '}}' in \"{item}\"{need}")
            item = item[1:inner].strip()
        key, equals, value = item.partition("=")
        if not equals:
            raise BadTable(f"missing '=' after attribute name{need}")
        key = key.strip()
        if not key:
            raise BadTable(f"missing attribute name{need}")
        table[key.lower() if options.folds else key] = value.strip()
    if not table:
        raise BadTable(f"empty table{need}" if name[1:end] else f"bad syntax{need}")
    return InlineTable(table, options)
