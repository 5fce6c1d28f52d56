"""static: tables: one value for every key, "static:value" or "static:{ value with spaces }" (DATABASE_README)."""

from __future__ import annotations

from posthouse.lookup.braces import closing_brace
from posthouse.lookup.table import BadTable, Options, Table


class StaticTable(Table):
    """The same answer for every key."""

    folding = False

    def __init__(self, value: str, options: Options) -> None:
        super().__init__(options)
        self._value = value

    def lookup(self, key: str) -> str | None:  # noqa: ARG002
        return self._value


def open_table(name: str, options: Options) -> StaticTable:
    """A table that answers name."""
    if not name.startswith("{"):
        return StaticTable(name, options)
    end = closing_brace(name)
    if end < 0:
        raise BadTable(f"bad static:name syntax: missing '}}' in \"{name}\"")
    if name[end + 1 :].strip():
        raise BadTable(f"bad static:name syntax: syntax error after '}}' in \"{name}\"")
    return StaticTable(name[1:end].strip(), options)
