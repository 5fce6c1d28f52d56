"""qmgr(8): takes mail from the queue to the delivery agents, and decides when to try again and when to give up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from posthouse.config.settings import Settings
from posthouse.errors import TemporaryFailure
from posthouse.mail.message import QueuedMessage
from posthouse.maillog import qmgr as says
from posthouse.queue.qmgr.active import Active, Probed
from posthouse.queue.qmgr.backoff import Patience
from posthouse.queue.qmgr.deliveries import UNKNOWN_ERROR, Deliveries
from posthouse.queue.qmgr.room import Room
from posthouse.queue.qmgr.rounds import Rounds
from posthouse.queue.qmgr.routing import FLUSHED, Route, Router
from posthouse.queue.qmgr.transports import Transports
from posthouse.queue.store import QueueStore
from posthouse.services.delivery import Target
from posthouse.services.house import House

_PAGE = 200
_PASSED_OVER = 200  # messages for many recipients that one look at the queue may leave for later
_REFILL_BELOW = 0.6
_SHARE_OF_RUNS = 0.8  # of the active queue; the rest is kept for mail that comes in


class QueueManager:
    """The active queue of one worker. Everything runs in the worker's event loop."""

    def __init__(self, house: House, store: QueueStore, settings: Settings) -> None:
        """Settings are those of the qmgr service. The house is asked for its rewriter, agents and bouncer later."""
        self._house, self._store, self._settings = house, store, settings
        self._log = house.log(settings, "qmgr")
        self._patience = Patience.of(settings)
        self._run_delay = settings.seconds("queue_run_delay")
        self._room = Room(settings)
        self._rounds = Rounds(house, store, self._log, self._patience)
        transports = Transports(house, settings)
        self._deliveries = Deliveries(transports, self._log, self._patience, self._finish, self._rounds.save)
        self._router: Router | None = None
        self.active: dict[str, Active] = {}
        self._has_more = False
        self._stopping = False
        self._wake = asyncio.Event()

    # -- taking mail in

    def admit(self, message: QueuedMessage) -> None:
        """A message that has just been stored. It is delivered from memory, or from the store when there is room."""
        if message.hold or self._stopping:
            return
        if message.queue_id in self.active or not self._room.has_for(len(message.envelope.recipients)):
            self._has_more = True
            return
        self._activate(message)

    def _activate(self, message: QueuedMessage) -> None:
        count = len(message.envelope.recipients) - len(message.done)
        self.active[message.queue_id] = active = Active(message, time.time(), self._room.take(message, count))
        self._log.info(says.active(message.queue_id, message.envelope.sender, message.size, count))
        self._deliveries.spawn(self._begin(active))

    async def _begin(self, active: Active) -> None:
        """Find out where the recipients go."""
        message = active.message
        try:
            routes = await self._routes(message)
        except Exception as error:  # the border of a delivery request: doubt is temporary
            self._deliveries.complain(message, "rewrite", error)
            targets = tuple(Target(index, message.envelope.recipients[index]) for index in message.open_recipients)
            routes = [Route("", "", targets, deferred=UNKNOWN_ERROR)]
        await self._deliveries.begin(active, routes)

    async def _routes(self, message: QueuedMessage) -> list[Route]:
        if self._router is None:
            if self._house.rewriter is None:
                raise RuntimeError("the house has no rewriter")
            self._router = Router(self._settings, self._house.rewriter)
        return await self._router.routes(message)

    async def _finish(self, active: Active) -> None:
        """The round is over: record it, and let the message go or wait."""
        await self._rounds.finish(active, self.admit)
        if self.active.pop(active.message.queue_id, None) is None:
            return
        self._room.give_back(active.message, active.cost)
        if self._has_more and not self._wake.is_set() and self._room.has_any(_REFILL_BELOW):
            self._wake.set()

    # -- the queue runs

    async def run(self) -> None:
        """Look for mail whose time has come, now and every queue_run_delay; until stop()."""
        next_run = 0.0
        while not self._stopping:
            self._wake.clear()
            now = time.monotonic()
            if now >= next_run:
                next_run = now + self._run_delay
                await self._correct_times()
            await self._scan()
            try:
                await asyncio.wait_for(self._wake.wait(), max(next_run - time.monotonic(), 0.01))
            except TimeoutError:
                continue

    async def _correct_times(self) -> None:
        """Nothing waits longer than maximal_backoff_time, though the clock may have been ahead when it was deferred."""
        now = time.time()
        try:
            await self._store.bring_forward(now + max(self._patience.maximal, self._patience.minimal) + 1, now)
        except TemporaryFailure as failure:
            self._log.warning(says.cannot_read_queue(failure.status.reason or str(failure)))

    async def _scan(self) -> None:
        self._has_more = True
        passed_over: set[str] = set()
        while self._has_more and not self._stopping and self._room.has_any(_SHARE_OF_RUNS):
            try:
                limit = min(_PAGE, self._room.left(_SHARE_OF_RUNS))
                found = await self._store.due(time.time(), limit, passed_over | self.active.keys())
            except TemporaryFailure as failure:
                self._log.warning(says.cannot_read_queue(failure.status.reason or str(failure)))
                return
            damaged = self._store.take_damaged()
            for queue_id in damaged:
                self._log.error(says.damaged(queue_id))
            self._has_more = len(found) + len(damaged) == limit and len(passed_over) < _PASSED_OVER
            for message in found:
                if message.queue_id in self.active:
                    continue
                if self._room.has_for(len(message.envelope.recipients) - len(message.done), _SHARE_OF_RUNS):
                    self._activate(message)
                else:
                    passed_over.add(message.queue_id)
        self._has_more = self._has_more or bool(passed_over)

    async def stop(self, grace: float = 20.0) -> None:
        """Begin no more deliveries, and wait at most grace seconds for those under way. All else stays in the store."""
        self._stopping = True
        self._wake.set()
        await self._deliveries.stop(grace)

    def listen_to_probes(self, told: Probed) -> None:
        """Have told(message, results) called for each address probe that is over (verify(8))."""
        self._rounds.on_probe = told

    # -- what administrators ask for

    async def flush(self, queue_ids: Sequence[str] | None = None) -> int:
        """Try these messages (None: all) now; destinations that were dead get another chance. How many there were."""
        if queue_ids is None:
            count = await self._store.set_all_due(FLUSHED)
        else:
            count = await self._store.set_due(queue_ids, FLUSHED)
        self.revive()
        return count

    def revive(self) -> None:
        """Forget that destinations were dead, and look at the queue now."""
        self._deliveries.revive()
        self._wake.set()

    def withdraw(self, queue_ids: Iterable[str]) -> None:
        """These messages were removed or put on hold: begin no more deliveries of them."""
        for queue_id in queue_ids:
            active = self.active.get(queue_id)
            if active is not None:
                active.withdrawn = True
