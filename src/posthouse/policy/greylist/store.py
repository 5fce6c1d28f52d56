"""What greylisting remembers between two attempts, and the contract of whatever keeps it (SQLite, Redis)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum
from typing import NamedTuple, Protocol

from posthouse.errors import PosthouseError


class Kind(Enum):
    """What an entry is about."""

    TRIPLET = "triplet"  # client network (or proven domain)/sender/recipient
    CLIENT = "client"  # how often a client, or a domain, has come again as it should
    PAIR = "pair"  # sender/recipient, whoever the client is
    KNOWN = "known"  # correspondent/user: one of ours has written there
    EXPECTED = "expected"  # somebody whom the administrator wants to let in at once


class Entry(NamedTuple):
    """Unix times (s) of the first and the last sight, and how often."""

    first: int
    last: int
    times: int = 0


class Kept(NamedTuple):
    """An entry with its name, as lists of them have it."""

    kind: Kind
    key: str
    entry: Entry


class StoreFailed(PosthouseError):
    """The store cannot be asked or cannot keep something. Mail passes then; greylisting never loses it."""


class Store(Protocol):
    """All methods raise StoreFailed. What has outlived its lifetime may still be found for a while."""

    async def get(self, kind: Kind, key: str) -> Entry | None:
        """The entry, or None."""
        ...

    async def put(self, kind: Kind, key: str, entry: Entry, lifetime: int) -> None:
        """Keep an entry for lifetime seconds after entry.last."""
        ...

    async def delete(self, kind: Kind, key: str) -> bool:
        """Forget an entry; whether there was one."""
        ...

    async def expire(self, now: int, limit: int) -> int:
        """Forget at most limit entries whose time is over; how many there were. Call again until it is 0."""
        ...

    def scan(self, kind: Kind | None, text: str) -> AsyncIterator[Kept]:
        """Entries whose key contains text (letter case does not matter), of one kind or all."""
        ...

    async def put_many(self, kept: list[Kept], lifetime: int) -> None:
        """Keep a batch (imports)."""
        ...

    async def close(self) -> None:
        """Let go of the store."""
        ...


def open_store(location: str) -> Store:
    """The store at a path (SQLite), or at redis://[:password@]host[:port][/number]. Raises StoreFailed."""
    if location.startswith(("redis://", "rediss://")):
        from posthouse.policy.greylist.redis import RedisStore

        return RedisStore(location)
    from posthouse.policy.greylist.sqlite import SqliteStore

    return SqliteStore(location.removeprefix("sqlite:"))
