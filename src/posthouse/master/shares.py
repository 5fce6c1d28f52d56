"""A worker's shares of the queue: the store that its own mail goes to, and stores it adopts from workers that are gone.

Each store has one owner at a time, which a lock ensures. docs/decisions/reload.md tells how shares change hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import glob
import os
import re
import sqlite3
from dataclasses import dataclass
from time import monotonic

from posthouse.config.settings import Settings
from posthouse.errors import TemporaryFailure
from posthouse.mail.message import QueuedMessage
from posthouse.mail.status import Status
from posthouse.master.layout import SPOOL
from posthouse.queue.qmgr.manager import QueueManager
from posthouse.queue.spool import StoreInUse
from posthouse.queue.sqlite import SqliteStore, is_damaged
from posthouse.services.house import House

ADOPTION_INTERVAL_S = 15.0
DELIVERIES_S = 20.0  # how long deliveries under way are waited for
_NUMBERS = 1000
_RETRY_S = 1.0  # between attempts to make a store of one's own
_NO_STORE = Status("4.3.1", 452, "Insufficient system storage")
_NO_ROOM = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN))


def directory(settings: Settings) -> str:
    """Where the stores lie."""
    return os.path.join(settings.text("queue_directory"), SPOOL)


def spool_directory(settings: Settings) -> str:
    """Where the bodies of large messages lie."""
    return os.path.join(directory(settings), "spool")


def store_path(settings: Settings, number: int) -> str:
    """The file of the store with that number."""
    return os.path.join(directory(settings), f"queue-{number}.sqlite")


@dataclass(slots=True)
class Share:
    """A store with its scheduler. in_hand counts the messages on their way into it."""

    number: int
    store: SqliteStore
    queue_manager: QueueManager
    running: asyncio.Task[None] | None = None
    in_hand: int = 0

    async def put(self, message: QueuedMessage) -> None:
        """Store and schedule. Raises TemporaryFailure and keeps nothing then."""
        self.in_hand += 1
        try:
            await self.store.put(message)
            self.queue_manager.admit(message)
        finally:
            self.in_hand -= 1


class Shares:
    """own is where new mail goes; None while a full disk has no room for it, and no new mail is taken then. Of the
    stores that nobody owns, a worker adopts those of its slot. number tells this worker from others.

    settings are those of the service qmgr.
    """

    def __init__(self, house: House, settings: Settings, slot: int, workers: int) -> None:
        self._house, self._slot, self._workers = house, slot, workers
        self._settings = settings
        self._adopts = False
        self._all: list[Share] = []
        self._complained: set[int] = set()
        self._next_attempt = 0.0
        self.own = self._open_own()
        self.number = self._number_of_own()

    async def put(self, message: QueuedMessage) -> None:
        """Keep a message in this worker's own store, and schedule it. Raises TemporaryFailure; nothing is kept then."""
        if self.own is None and monotonic() >= self._next_attempt:
            self.own = self._open_own()
            self.start()
        if self.own is None:
            raise TemporaryFailure(_NO_STORE)
        await self.own.put(message)

    def each(self) -> list[Share]:
        """All shares that this worker has now."""
        return list(self._all)

    def start(self) -> None:
        """Begin to schedule what is in the own store."""
        if self.own is not None:
            self._start(self.own)

    async def keep_adopting(self) -> None:
        """From now on take over what others have left, until cancelled."""
        self._adopts = True
        while True:
            self.adopt()
            await asyncio.sleep(ADOPTION_INTERVAL_S)
            await self._drop_empty()

    def adopt(self) -> int:
        """Take over the stores of this slot that nobody owns; how many."""
        if not self._adopts:
            return 0
        taken = 0
        for number in self._numbers():
            if number % self._workers == self._slot and all(share.number != number for share in self._all):
                with contextlib.suppress(StoreInUse):
                    taken += self._adopt(number)
        return taken

    def _adopt(self, number: int) -> bool:
        try:
            self._start(self._open(number))
        except (sqlite3.Error, OSError) as trouble:
            self._complain(number, trouble)
            return False
        return True

    def _complain(self, number: int, trouble: Exception) -> None:
        """A store that cannot be opened keeps its mail; the house goes on without it, and says so once."""
        if number not in self._complained:
            self._complained.add(number)
            path = store_path(self._settings, number)
            self._house.log(self._settings, "qmgr").error(f"cannot open the queue {path}: {trouble}")

    async def release(self) -> None:
        """Give up all shares but a fresh one, which takes what still comes in."""
        former = self._all
        self._adopts = False
        self._all = []
        self.own = self._open_own()
        self.number = self._number_of_own()
        self.start()
        await asyncio.gather(*(self._close(share) for share in former))

    async def close(self, grace: float) -> None:
        """Finish deliveries that are under way, within grace (s), and close all stores."""
        self._adopts = False
        shares, self._all = self._all, []
        await asyncio.gather(*(self._close(share, grace) for share in shares))

    async def flush_site(self, domain: str) -> bool:
        """Try what waits for a domain now (ETRN, sendmail -qR)."""
        ending = f"@{domain.lower()}"
        for share in self.each():
            names = [
                listed.queue_id
                async for listed in share.store.list()
                if any(address.lower().endswith(ending) for address, _ in listed.recipients)
            ]
            if names:
                await share.queue_manager.flush(names)
        return True

    def _numbers(self) -> list[int]:
        names = glob.glob(os.path.join(glob.escape(directory(self._settings)), "queue-*.sqlite"))
        found = (re.fullmatch(r"queue-(\d{1,6})\.sqlite", os.path.basename(name)) for name in names)
        return sorted(int(match[1]) for match in found if match)

    def _open_own(self) -> Share | None:
        """The first free store; None where the disk has no room for one."""
        try:
            return self._open_first_free()
        except (sqlite3.Error, OSError) as trouble:
            code = getattr(trouble, "sqlite_errorcode", 0) & 0xFF
            if code not in _NO_ROOM and getattr(trouble, "errno", 0) != errno.ENOSPC:
                raise
            self._next_attempt = monotonic() + _RETRY_S
            self._house.log(self._settings, "qmgr").warning(f"no room for new mail: {trouble}")
            return None

    def _number_of_own(self) -> int:
        return self.own.number if self.own is not None else _NUMBERS * self._workers + os.getpid()

    def _open_first_free(self) -> Share:
        for number in range(self._slot, _NUMBERS * self._workers, self._workers):
            try:
                return self._open(number)
            except StoreInUse:
                continue
            except sqlite3.Error as trouble:
                if not is_damaged(trouble):
                    raise
                self._complain(number, trouble)
        raise StoreInUse(directory(self._settings))

    def _open(self, number: int) -> Share:
        store = SqliteStore(store_path(self._settings, number), spool_directory(self._settings))
        share = Share(number, store, QueueManager(self._house, store, self._settings))
        if self._house.probed is not None:
            share.queue_manager.listen_to_probes(self._house.probed)
        self._all.append(share)
        return share

    def _start(self, share: Share) -> None:
        share.running = asyncio.get_running_loop().create_task(share.queue_manager.run())

    async def _close(self, share: Share, grace: float = DELIVERIES_S) -> None:
        while share.in_hand:  # noqa: ASYNC110 - a few commits at most, and only at the end
            await asyncio.sleep(0.005)
        await share.queue_manager.stop(grace)
        if share.running is not None:
            await share.running
        is_empty = await _is_empty(share.store) and share.number >= self._workers
        await share.store.close()
        if is_empty:
            self._remove(share.number)

    async def _drop_empty(self) -> None:
        """An adopted store that has nothing left is not kept open."""
        for share in self.each():
            if share is not self.own and not share.in_hand and await _is_empty(share.store):
                self._all.remove(share)
                await self._close(share)

    def _remove(self, number: int) -> None:
        path = store_path(self._settings, number)
        try:
            lock = _lock(path)
        except StoreInUse:
            return
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, lock)
            for name in (path, f"{path}-wal", f"{path}-shm", f"{path}.reserve"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)


def _lock(path: str) -> int:
    from posthouse.queue.spool import lock_owner

    return lock_owner(path)


async def _is_empty(store: SqliteStore) -> bool:
    async for _ in store.list():
        return False
    return True
