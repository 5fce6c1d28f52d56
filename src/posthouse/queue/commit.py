"""Group commit: one thread owns the database, and what arrives while a commit is under way shares the next one."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Batch(Protocol):
    """What the thread does with the work it took; both are called in the thread."""

    def open(self) -> Any:
        """Called once at the start."""

    def commit(self, work: list[Any]) -> list[Any]:
        """Apply the work in one transaction; an answer for each item, an exception where it failed. Never raises."""

    def close(self) -> None:
        """Called once at the end."""


class CommitThread:
    """Runs a Batch in a thread. submit() is called in the event loop, and its future is resolved there."""

    def __init__(self, batch: Batch, *, limit: int = 512) -> None:
        self._batch, self._limit = batch, limit
        self._work: queue.SimpleQueue[tuple[Any, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="queue-commit", daemon=True)
        self._started = False
        self._closing = False

    def start(self) -> None:
        self._started = True
        self._thread.start()

    def submit(self, item: Any) -> asyncio.Future[Any]:
        """Hand over one piece of work. The future has its answer once that is on stable storage."""
        if self._closing:
            raise RuntimeError("the queue store is closed")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._work.put((item, future))
        return future

    async def stop(self) -> None:
        """End after all work handed over so far is done."""
        if self._closing or not self._started:
            return
        self._closing = True
        self._work.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        ends = False
        while not ends:
            group = [self._work.get()]
            while len(group) < self._limit:
                try:
                    group.append(self._work.get_nowait())
                except queue.Empty:
                    break
            pairs = [pair for pair in group if pair is not None]
            ends = len(pairs) < len(group)
            if pairs:
                self._apply(pairs)
        self._batch.close()

    def _apply(self, pairs: list[tuple[Any, asyncio.Future[Any]]]) -> None:
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


Call = Callable[[sqlite3.Connection], Any]
