"""proxy: tables: "proxy:type:name" is the table itself here; there is no chroot to reach out of (proxymap(8))."""

from __future__ import annotations

from dataclasses import replace

from posthouse.lookup.table import Options, Table, make_table, names_aliases


def open_table(name: str, options: Options) -> Table:
    """The table behind the proxy; it is called by its full name where it is spoken of."""
    is_aliases = options.is_aliases or names_aliases(name, options.settings)
    table = make_table(replace(options, spec=name, is_aliases=is_aliases))
    table.spec = options.spec
    return table
