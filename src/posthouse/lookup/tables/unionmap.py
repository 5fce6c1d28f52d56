"""unionmap: tables: the answers of several tables, joined by commas: "unionmap:{static:a, hash:/x}"."""

from __future__ import annotations

from posthouse.lookup.combined import CombinedTable, inner_tables
from posthouse.lookup.table import Options


class UnionTable(CombinedTable):
    """All answers. Fails if one table fails."""

    def lookup(self, key: str) -> str | None:
        values = [value for table in self.tables if (value := table.lookup(key)) is not None]
        return ",".join(values) if values else None

    async def find(self, key: str) -> str | None:
        values = [value for table in self.tables if (value := await table.find(key)) is not None]
        return ",".join(values) if values else None


def open_table(name: str, options: Options) -> UnionTable:
    """The tables in braces."""
    return UnionTable(inner_tables("unionmap", name, options), options)
