"""Tables made of tables: what unionmap: and pipemap: share (DATABASE_README)."""

from __future__ import annotations

from dataclasses import replace

from posthouse.lookup.braces import closing_brace, split_items
from posthouse.lookup.table import BadTable, Options, Table, make_table

_NESTING_LIMIT = 10


class CombinedTable(Table):
    """Several tables behind one name; each folds keys as its own type does."""

    folding = False

    def __init__(self, tables: list[Table], options: Options) -> None:
        super().__init__(options)
        self.tables = tables
        self.blocking = any(table.blocking for table in tables)
        self.has_patterns = any(table.has_patterns for table in tables)

    @property
    def unavailable(self) -> str:
        return next((table.unavailable for table in self.tables if table.unavailable), "")


def inner_tables(kind: str, name: str, options: Options) -> list[Table]:
    """The tables that "{type:name, type:name}" names. Raises BadTable."""
    end = closing_brace(name) if name.startswith("{") else -1
    specs = split_items(name[1:end]) if end > 0 and not name[end + 1 :].strip() else []
    if not specs or any(":" not in spec for spec in specs):
        raise BadTable(f'bad syntax: "{options.spec}"; need "{kind}:{{type:name...}}"')
    if name.count(f"{kind}:") > _NESTING_LIMIT:
        raise BadTable(f'bad syntax: "{options.spec}"; tables are nested too deeply')
    return [make_table(replace(options, spec=spec)) for spec in specs]
