"""pipemap: tables: the first table's answer is the next one's key: "pipemap:{hash:/a, hash:/b}" (DATABASE_README)."""

from __future__ import annotations

from posthouse.lookup.combined import CombinedTable, inner_tables
from posthouse.lookup.table import Options


class PipeTable(CombinedTable):
    """One table after the other; the last one's answer, or None when one has none."""

    def lookup(self, key: str) -> str | None:
        for table in self.tables:
            value = table.lookup(key)
            if value is None:
                return None
            key = value
        return key

    async def find(self, key: str) -> str | None:
        for table in self.tables:
            value = await table.find(key)
            if value is None:
                return None
            key = value
        return key


def open_table(name: str, options: Options) -> PipeTable:
    """The tables in braces."""
    return PipeTable(inner_tables("pipemap", name, options), options)
