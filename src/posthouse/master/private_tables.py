"""Tables that only root may read (sasl_passwd, say): a worker reads them before it drops its rights, as in Postfix."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError, PosthouseError
from posthouse.lookup.table import open_table
from posthouse.master.setup import Setup

_SPEC = re.compile(r"(?:proxy:)?((?:hash|btree|lmdb|dbm|cdb|texthash|regexp|pcre|cidr):(/[^\s,{}]+))")
_SUFFIXES = ("", ".db", ".lmdb")


def open_private_tables(setup: Setup) -> None:
    """Open the tables of all services that mail_owner could not open itself."""
    for view in _views(setup):
        for spec, path in sorted(_tables_of(view)):
            if _is_private(path):
                _ = open_table(spec, view).unavailable  # reads it


def _views(setup: Setup) -> Iterator[Settings]:
    yield setup.settings
    for service in setup.services:
        if service.options:
            yield setup.settings.with_overrides(service.options, service.name)


def _tables_of(view: Settings) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for name in view.set_values():
        try:
            found.update((match[1], match[2]) for match in _SPEC.finditer(view.text(name)))
        except (ConfigError, PosthouseError, KeyError):
            continue
    return found


def _is_private(path: str) -> bool:
    """Whether one of its files, or the folder, is closed to others."""
    for file in (os.path.dirname(path), *(path + suffix for suffix in _SUFFIXES)):
        try:
            mode = os.stat(file).st_mode
        except OSError:
            continue
        if not mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH):
            return True
    return False
