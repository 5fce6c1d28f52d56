"""randmap: tables: one of several values, at random, for every key: "randmap:{one, two}" (DATABASE_README)."""

from __future__ import annotations

import random

from posthouse.lookup.braces import closing_brace, split_items
from posthouse.lookup.table import BadTable, Options, Table


class RandomTable(Table):
    """A value by chance."""

    folding = False
    has_patterns = True

    def __init__(self, values: list[str], options: Options) -> None:
        super().__init__(options)
        self._values = values

    def lookup(self, key: str) -> str | None:  # noqa: ARG002
        return random.choice(self._values)


def open_table(name: str, options: Options) -> RandomTable:
    """A table of these values."""
    end = closing_brace(name) if name.startswith("{") else -1
    values = split_items(name[1:end]) if end > 0 and not name[end + 1 :].strip() else []
    if not values:
        raise BadTable(f'bad syntax: "{options.spec}"; need "randmap:{{value...}}"')
    return RandomTable([_inner(value) for value in values], options)


def _inner(value: str) -> str:
    return value[1:-1].strip() if value.startswith("{") and closing_brace(value) == len(value) - 1 else value
