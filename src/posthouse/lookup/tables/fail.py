"""fail: tables: every request fails, for tests of what happens then (DATABASE_README)."""

from __future__ import annotations

from posthouse.errors import LookupFailed
from posthouse.lookup.table import Options, Table


class FailingTable(Table):
    """Never answers."""

    folding = False

    def lookup(self, key: str) -> str | None:  # noqa: ARG002
        raise LookupFailed(self.spec, "Application error")


def open_table(name: str, options: Options) -> FailingTable:  # noqa: ARG001
    """A table that fails."""
    return FailingTable(options)
