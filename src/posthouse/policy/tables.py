"""One table as access(5) uses it: asked for several keys in turn, patterns only for the whole name."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.lookup.table import open_table
from posthouse.policy.search_order import table_with_order


class AccessTable:
    """is_pattern: partial keys (a parent domain, a network, a local part) are not looked up. search_order is for
    certificates. Raises ConfigError for an argument in braces that is malformed.
    """

    __slots__ = ("_table", "is_pattern", "search_order", "spec")

    def __init__(self, argument: str, settings: Settings) -> None:
        spec, self.search_order = table_with_order(argument)
        self.spec = spec
        self._table = open_table(spec, settings)
        self.is_pattern = self._table.has_patterns

    async def find(self, key: str) -> str | None:
        """The value. Raises LookupFailed."""
        table = self._table
        return await table.find(key) if table.blocking else table.lookup(key)
