"""internal: tables: empty; Postfix keeps what a program sets while it runs in them (DATABASE_README)."""

from __future__ import annotations

from posthouse.lookup.table import Options, Table


class InternalTable(Table):
    """Knows nothing."""

    def get(self, key: str) -> str | None:  # noqa: ARG002
        return None


def open_table(name: str, options: Options) -> InternalTable:  # noqa: ARG001
    """An empty table."""
    return InternalTable(options)
