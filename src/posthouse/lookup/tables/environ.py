"""environ: tables: the process's environment (DATABASE_README). Keys are folded, so names in capitals are not found."""

from __future__ import annotations

import os

from posthouse.lookup.table import Options, Table


class EnvironmentTable(Table):
    """Variables of the environment."""

    def get(self, key: str) -> str | None:
        return os.environ.get(key)


def open_table(name: str, options: Options) -> EnvironmentTable:  # noqa: ARG001
    """The environment; the name means nothing."""
    return EnvironmentTable(options)
