"""One lookup table, "type:name" (postmap(1), DATABASE_README): what every type offers, and how one is opened.

A type is a module of lookup/tables with a function open_table(name, options) -> Table; it is imported when first used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from posthouse.errors import LookupFailed
from posthouse.lookup import notices

if TYPE_CHECKING:
    from posthouse.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """How a table is opened. spec is "type:name" as main.cf has it; folds: keys of fixed-text tables are lower-cased.

    utf8: smtputf8_enable, keys and values must be UTF-8. is_aliases: the text behind the index is in aliases(5) form.
    settings is for types that read more of main.cf.
    """

    spec: str
    settings: Settings
    folds: bool = True
    utf8: bool = True
    is_aliases: bool = False


class Table:
    """A table. lookup answers at once unless blocking, in which case a service calls find, which lets others go on.

    A table that does not change its own keys (regexp, cidr, static) overrides lookup; the others override get, which
    receives the key as it is to be looked up.
    """

    blocking = False
    has_patterns = False  # asked for whole names and addresses only, never for their parts
    folding = True  # keys are fixed text: lower-cased before they are looked up

    def __init__(self, options: Options) -> None:
        self.spec = options.spec
        self._folds, self._utf8 = options.folds and self.folding, options.utf8

    def lookup(self, key: str) -> str | None:
        """The value, or None for "not found". Raises LookupFailed where that cannot be said."""
        if self._folds:
            key = key.lower() if key.isascii() else key.casefold()
        if not key or (self._utf8 and not key.isascii() and not is_utf8(key)):
            return None
        return self.get(key)

    def get(self, key: str) -> str | None:
        """The value for a key that is folded already."""
        raise NotImplementedError

    async def find(self, key: str) -> str | None:
        """lookup, without holding up other work."""
        if not self.blocking:
            return self.lookup(key)
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(None, self.lookup, key)

    def entries(self) -> Iterator[tuple[str, str]]:
        """All keys and values. LookupFailed for a type that cannot list them."""
        raise LookupFailed(self.spec, "sequence operation is not supported")

    @property
    def unavailable(self) -> str:
        """Why the table cannot answer anything ("open database /x.db: No such file or directory"); "" when it can."""
        return ""


class TableUnavailable(LookupFailed):
    """The table could not be opened at all; text says why."""


class Unavailable(Table):
    """Stands for a table that cannot be opened: every lookup fails with the same reason."""

    def __init__(self, options: Options, reason: str) -> None:
        super().__init__(options)
        self._reason = reason
        notices.complain(reason)

    def lookup(self, key: str) -> str | None:  # noqa: ARG002
        raise TableUnavailable(self.spec, self._reason)

    @property
    def unavailable(self) -> str:
        return self._reason


class BadTable(LookupFailed):
    """A specification that no table can be made of: an unknown type, bad syntax. text says what is wrong."""

    def __init__(self, text: str) -> None:
        super().__init__("", text)

    def __str__(self) -> str:
        return self.text


def is_utf8(text: str) -> bool:
    """Whether text has no bytes that are not UTF-8 (they are surrogate escapes in it)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def failure_warnings(failed: LookupFailed, key: str) -> tuple[str, ...]:
    """The log's texts (without "warning: ") for a lookup of key that failed, in order."""
    last = f'{failed.table} lookup error for "{key}"'
    if isinstance(failed, TableUnavailable):
        return f"{failed.table} is unavailable. {failed.text}", last
    return (last,)


@lru_cache(maxsize=1)
def table_types() -> tuple[str, ...]:
    """The names of all types that can be opened, sorted: what `postconf -m` prints."""
    with os.scandir(os.path.join(os.path.dirname(__file__), "tables")) as files:
        return tuple(sorted(entry.name[:-3] for entry in files if entry.name.endswith(".py") and entry.name[0] != "_"))


def split_spec(spec: str) -> tuple[str, str]:
    """Type and name. BadTable where there are not both."""
    kind, colon, name = spec.partition(":")
    if not (kind and colon and name):
        raise BadTable(f'open dictionary: expecting "type:name" form instead of "{spec}"')
    return kind, name


def make_table(options: Options) -> Table:
    """Open a table, not shared with anybody. Raises BadTable where the specification itself is wrong."""
    kind, name = split_spec(options.spec)
    if kind not in table_types():
        from posthouse.lookup.missing_types import explain_missing

        raise BadTable(explain_missing(kind))
    opened = import_module(f"posthouse.lookup.tables.{kind}").open_table(name, options)
    assert isinstance(opened, Table)
    return opened


_tables: dict[tuple[str, str, bool, bool], Table] = {}
_ALIAS_PARAMETERS = ("alias_database", "alias_maps")


def open_table(spec: str, settings: Settings) -> Table:
    """The table of that specification, shared by all that name it in this process.

    Never raises: a table that cannot be opened is returned all the same, and fails when it is asked.
    """
    is_aliases = names_aliases(spec, settings)
    place = (spec, settings.config_directory, settings.flag("smtputf8_enable"), is_aliases)
    table = _tables.get(place)
    if table is None:
        options = Options(spec, settings, utf8=place[2], is_aliases=is_aliases)
        try:
            table = make_table(options)
        except BadTable as failed:
            table = Unavailable(options, failed.text)
        _tables[place] = table
    return table


def names_aliases(spec: str, settings: Settings) -> bool:
    """Whether alias_maps or alias_database name the table, so that its text is in aliases(5) form."""
    return any(spec == item.removeprefix("proxy:") for name in _ALIAS_PARAMETERS for item in settings.items(name))


def forget_tables() -> None:
    """Open every table anew at its next use (tests; a configuration read again)."""
    _tables.clear()
