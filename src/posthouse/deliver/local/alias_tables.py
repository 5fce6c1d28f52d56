"""Looks names up in alias_maps, and says by whose rights what an alias names is done (aliases(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass

from posthouse.errors import LookupFailed
from posthouse.lookup.maps import Maps
from posthouse.system.users import User, find_user_by_id

_FILE_TYPES = ("hash", "btree", "lmdb", "texthash", "cdb", "dbm", "sdbm", "regexp", "pcre", "cidr", "fail", "union")


class NoOwner(Exception):
    """A table whose owner is nobody that the machine knows."""


@dataclass(frozen=True, slots=True)
class Alias:
    """The members of an alias, as text; owner is who owns the table's file, None for root."""

    name: str
    members: str
    spec: str
    owner: User | None


async def find_alias(maps: Maps, name: str) -> Alias | None:
    """The first table's answer. Raises LookupFailed and NoOwner."""
    for table in maps.tables:
        members = await table.find(name)
        if members is not None:
            return Alias(name, members, table.spec, _owner(table.spec))
    return None


def _owner(spec: str) -> User | None:
    """Tables that are no files are as trusted as main.cf."""
    kind, _, path = spec.removeprefix("proxy:").partition(":")
    if kind not in _FILE_TYPES or not path.startswith("/"):
        return None
    try:
        uid = os.stat(path).st_uid
    except FileNotFoundError:
        uid = _index_owner(path)
    except OSError as error:
        raise LookupFailed(spec, os.strerror(error.errno or 0)) from None
    if uid == 0:
        return None
    owner = find_user_by_id(uid)
    if owner is None:
        raise NoOwner(spec)
    return owner


def _index_owner(path: str) -> int:
    for suffix in (".lmdb", ".db", ".cdb"):
        try:
            return os.stat(path + suffix).st_uid
        except OSError:
            continue
    return 0
