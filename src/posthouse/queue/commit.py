"""Group commit: one thread owns the database, and what arrives while a commit is under way shares the next one."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from typing import Any, Protocol

PATIENCE_S = 0.01  # how long what nobody waits for may wait for a commit to share

Pair = tuple[Any, asyncio.Future[Any]]


class Batch(Protocol):
    """What the thread does with the work it took; both are called in the thread."""

    def commit(self, work: list[Any]) -> list[Any]:
        """Apply the work in one transaction; an answer for each item, an exception where it failed. Never raises."""

    def close(self) -> None:
        """Called once at the end."""


class CommitThread:
    """Runs a Batch in a thread. submit() is called in the event loop, and its future is resolved there.

    What one turn of the loop brings is handed over together: waking the thread costs more than the work.
    """

    def __init__(self, batch: Batch, *, limit: int = 512) -> None:
        self._batch, self._limit = batch, limit
        self._waiting: list[Pair] = []
        self._work: queue.SimpleQueue[list[Pair] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="queue-commit", daemon=True)
        self._started = self._closing = self._is_soon = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._started = True
        self._thread.start()

    def submit(self, item: Any, *, patient: bool = False) -> asyncio.Future[Any]:
        """Hand over one piece of work. The future has its answer once that is on stable storage. patient: it may wait
        a moment (PATIENCE_S) for others to share its commit.
        """
        if self._closing:
            raise RuntimeError("the queue store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((item, future))
        if not patient:
            if not self._is_soon:
                self._is_soon = True
                loop.call_soon(self._hand_over)
        elif self._timer is None:
            self._timer = loop.call_later(PATIENCE_S, self._hand_over)
        return future

    async def stop(self) -> None:
        """End after all work handed over so far is done."""
        if self._closing or not self._started:
            return
        self._closing = True
        self._hand_over()
        self._work.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _hand_over(self) -> None:
        self._is_soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._work.put(waiting)

    def _run(self) -> None:
        ends = False
        while not ends:
            part = self._work.get()
            group: list[Pair] = []
            while part is not None:
                group += part
                if len(group) >= self._limit:
                    break
                try:
                    part = self._work.get_nowait()
                except queue.Empty:
                    break
            ends = part is None
            if group:
                self._apply(group)
        self._batch.close()

    def _apply(self, pairs: list[Pair]) -> None:
        answers = self._batch.commit([item for item, _ in pairs])
        futures = [future for _, future in pairs]
        try:
            futures[0].get_loop().call_soon_threadsafe(_resolve, futures, answers)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def _resolve(futures: list[asyncio.Future[Any]], answers: list[Any]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def is_full(error: BaseException) -> bool:
    """Whether the disk (or a quota) has no room left."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (28, 122)
