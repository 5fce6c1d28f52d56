"""Runs a coroutine at once, in the caller's own stack, and as a task only where it really waits.

Most SMTP commands are answered without waiting for anything; a task for each would cost more than the command.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Errand(Generic[T]):
    """A coroutine under way. done(result, error) is called once, perhaps before start() returns.

    It stands in for a task: asyncio.timeout() and current_task() work inside.
    """

    __slots__ = ("_coroutine", "_done", "_loop", "_must_cancel", "_requests", "_waits_for", "finished")

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop,
        done: Callable[[T | None, BaseException | None], None],
    ) -> None:  # fmt: skip
        self._coroutine, self._loop, self._done = coroutine, loop, done
        self._waits_for: asyncio.Future[Any] | None = None
        self._requests = 0
        self._must_cancel = False
        self.finished = False

    def start(self) -> None:
        """Run to the end or to the first wait."""
        self._step(None)

    def cancel(self, msg: object = None) -> bool:
        """As Task.cancel."""
        if self.finished:
            return False
        self._requests += 1
        if self._waits_for is not None and self._waits_for.cancel(msg):
            return True
        self._must_cancel = True
        return True

    def cancelling(self) -> int:
        """As Task.cancelling."""
        return self._requests

    def uncancel(self) -> int:
        """As Task.uncancel."""
        self._requests = max(0, self._requests - 1)
        return self._requests

    def done(self) -> bool:
        """As Task.done."""
        return self.finished

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """As Task.get_loop."""
        return self._loop

    def _step(self, error: BaseException | None) -> None:
        self._waits_for = None
        if self._must_cancel and error is None:
            error, self._must_cancel = asyncio.CancelledError(), False
        outer = asyncio.current_task(self._loop)
        if outer is not None:
            _leave_task(self._loop, outer)
        _enter_task(self._loop, cast("asyncio.Task[Any]", self))
        try:
            waits_for = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
        except StopIteration as stop:
            self.finished = True
            outcome: tuple[Any, BaseException | None] = (stop.value, None)
        except (Exception, asyncio.CancelledError) as raised:
            self.finished = True
            outcome = (None, raised)
        finally:
            _leave_task(self._loop, cast("asyncio.Task[Any]", self))
            if outer is not None:
                _enter_task(self._loop, outer)
        if self.finished:
            self._done(*outcome)
        else:
            self._wait(waits_for)

    def _wait(self, waits_for: Any) -> None:
        if waits_for is None:
            self._loop.call_soon(self._step, None)
            return
        waits_for._asyncio_future_blocking = False  # noqa: SLF001 - what every task does
        self._waits_for = waits_for
        waits_for.add_done_callback(self._wake)
        if self._must_cancel and waits_for.cancel():
            self._must_cancel = False

    def _wake(self, future: asyncio.Future[Any]) -> None:
        # The coroutine fetches the result, or its exception, from the future itself when it goes on.
        del future
        self._step(None)
