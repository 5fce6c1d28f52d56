"""One table as access(5) uses it: asked for several keys in turn, patterns only for the whole name."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.lookup.table import open_table


class AccessTable:
    """is_pattern: partial keys (a parent domain, a network, a local part) are not looked up."""

    __slots__ = ("_table", "is_pattern", "spec")

    def __init__(self, spec: str, settings: Settings) -> None:
        self.spec = spec
        self._table = open_table(spec, settings)
        self.is_pattern = self._table.has_patterns

    async def find(self, key: str) -> str | None:
        """The value. Raises LookupFailed."""
        table = self._table
        return await table.find(key) if table.blocking else table.lookup(key)
