"""btree: tables: fixed keys; the same index as hash:."""

from __future__ import annotations

from posthouse.lookup.indexed import IndexedTable
from posthouse.lookup.table import Options

SUFFIX = ".db"  # what the index's name adds to the text's


def open_table(name: str, options: Options) -> IndexedTable:
    """The table with the text in the file of that name."""
    return IndexedTable(name, SUFFIX, options)
