"""Ordered lists of tables, as virtual_alias_maps names them (DATABASE_README): the first answer wins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from posthouse.lookup.table import Table, open_table

if TYPE_CHECKING:
    from posthouse.config.settings import Settings


class Maps:
    """Tables asked in order."""

    __slots__ = ("blocking", "empty", "specs", "tables")

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = tuple(tables)
        self.specs = tuple(table.spec for table in self.tables)
        self.empty = not self.tables
        self.blocking = any(table.blocking for table in self.tables)

    def lookup(self, key: str, *, partial: bool = False) -> str | None:
        """The first table's value that is there; None for "in no table". Raises LookupFailed at a table that fails.

        partial: key is only part of what is looked for (a parent domain, "user@"); tables of patterns are not asked.
        """
        for table in self.tables:
            if partial and table.has_patterns:
                continue
            value = table.lookup(key)
            if value is not None:
                return value
        return None

    async def find(self, key: str, *, partial: bool = False) -> str | None:
        """lookup, without holding up other work."""
        if not self.blocking:
            return self.lookup(key, partial=partial)
        for table in self.tables:
            if partial and table.has_patterns:
                continue
            value = await table.find(key)
            if value is not None:
                return value
        return None

    def answering(self, key: str, *, partial: bool = False) -> tuple[str, str] | None:
        """The specification of the table that answers, and its value: what `posthouse explain` shows."""
        for table in self.tables:
            if partial and table.has_patterns:
                continue
            value = table.lookup(key)
            if value is not None:
                return table.spec, value
        return None

    @property
    def unavailable(self) -> list[tuple[str, str]]:
        """Specification and reason of each table that cannot be opened now."""
        return [(table.spec, table.unavailable) for table in self.tables if table.unavailable]


_VIEWS_LIMIT = 256
_views: dict[int, tuple[Settings, dict[str, Maps]]] = {}


def open_maps(settings: Settings, parameter_name: str) -> Maps:
    """The tables that a parameter lists; made once per view of the configuration."""
    view = _views.get(id(settings))
    if view is None:
        if len(_views) >= _VIEWS_LIMIT:
            _views.clear()
        view = _views[id(settings)] = (settings, {})
    maps = view[1].get(parameter_name)
    if maps is None:
        maps = view[1][parameter_name] = open_maps_from(settings, settings.items(parameter_name))
    return maps


def open_maps_from(settings: Settings, specs: Iterable[str]) -> Maps:
    """Tables given by their specifications ("hash:/etc/aliases")."""
    return Maps([open_table(spec, settings) for spec in specs])


def forget_maps() -> None:
    """Read the lists anew at their next use (tests; a configuration read again)."""
    _views.clear()
