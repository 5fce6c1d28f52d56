"""A store that may break and come back: while it is broken every question raises StoreFailed at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable

from posthouse.policy.greylist.store import Entry, Kept, Kind, Store, StoreFailed

RETRY_S = 5.0


class PatientStore:
    """Opens what open_it opens, and again some seconds after a failure. complain hears when a file was put aside."""

    def __init__(self, open_it: Callable[[], Store], complain: Callable[[str], None]) -> None:
        self._open_it, self._complain = open_it, complain
        self._store: Store | None = None
        self._not_before, self._failure = 0.0, ""

    async def get(self, kind: Kind, key: str) -> Entry | None:
        try:
            return await self._ready().get(kind, key)
        except StoreFailed as failure:
            raise await self._let_go(failure) from failure

    async def put(self, kind: Kind, key: str, entry: Entry, lifetime: int) -> None:
        try:
            await self._ready().put(kind, key, entry, lifetime)
        except StoreFailed as failure:
            raise await self._let_go(failure) from failure

    async def put_many(self, kept: list[Kept], lifetime: int) -> None:
        try:
            await self._ready().put_many(kept, lifetime)
        except StoreFailed as failure:
            raise await self._let_go(failure) from failure

    async def delete(self, kind: Kind, key: str) -> bool:
        try:
            return await self._ready().delete(kind, key)
        except StoreFailed as failure:
            raise await self._let_go(failure) from failure

    async def expire(self, now: int, limit: int) -> int:
        try:
            return await self._ready().expire(now, limit)
        except StoreFailed as failure:
            raise await self._let_go(failure) from failure

    async def scan(self, kind: Kind | None, text: str) -> AsyncIterator[Kept]:
        async for kept in self._ready().scan(kind, text):
            yield kept

    async def close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    def _ready(self) -> Store:
        if self._store is not None:
            return self._store
        now = time.monotonic()
        if now < self._not_before:
            raise StoreFailed(self._failure)
        self._not_before = now + RETRY_S
        try:
            store = self._open_it()
        except StoreFailed as failure:
            self._failure = str(failure)
            raise
        put_aside = getattr(store, "put_aside", "")
        if put_aside:
            self._complain(f"greylisting's database was broken; it is kept as {put_aside}, and a new one begun")
        self._store = store
        return store

    async def _let_go(self, failure: StoreFailed) -> StoreFailed:
        if self._store is not None:
            self._failure, self._not_before = str(failure), time.monotonic() + RETRY_S
        with contextlib.suppress(StoreFailed):
            await self.close()
        return failure


class ReadOnlyStore:
    """What is there may be read, and nothing changes: for questions about mail that nobody has sent."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, kind: Kind, key: str) -> Entry | None:
        return await self._store.get(kind, key)

    async def put(self, kind: Kind, key: str, entry: Entry, lifetime: int) -> None:
        """Nothing."""

    async def put_many(self, kept: list[Kept], lifetime: int) -> None:
        """Nothing."""

    async def delete(self, kind: Kind, key: str) -> bool:  # noqa: ARG002
        return False

    async def expire(self, now: int, limit: int) -> int:  # noqa: ARG002
        return 0

    def scan(self, kind: Kind | None, text: str) -> AsyncIterator[Kept]:
        return self._store.scan(kind, text)

    async def close(self) -> None:
        """The store goes on."""
