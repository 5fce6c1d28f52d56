"""qmgr(8): takes mail from the queue to the delivery agents, and decides when to try again and when to give up."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any

from posthouse.config.settings import Settings
from posthouse.errors import TemporaryFailure
from posthouse.mail.content import FilePart
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Deferred, Sent
from posthouse.mail.status import Status
from posthouse.maillog import qmgr as says
from posthouse.queue.qmgr.active import Active, Probed
from posthouse.queue.qmgr.backoff import Patience
from posthouse.queue.qmgr.rounds import Rounds
from posthouse.queue.qmgr.routing import Route, Router, as_verp
from posthouse.queue.qmgr.scheduler import Destination, Job, Parcel, Transport
from posthouse.queue.qmgr.transports import Transports
from posthouse.queue.store import QueueStore
from posthouse.services.delivery import DeliveryRequest, Report, Result, Target
from posthouse.services.house import House

_CONTENT_LIMIT = 128 * 1024 * 1024  # bytes of message content in the active queue
_RECORD_LIMIT = 2_000  # bytes that a message costs beside its content
_PAGE = 200
_REFILL_BELOW = 0.6
_AT_ONCE = 1.0  # a time long ago
_SHARE_OF_RUNS = 0.8  # of the active queue; the rest is kept for mail that comes in
_ERROR_SERVICE = "retry"
_UNAVAILABLE = Status("4.3.0", 0, "mail transport unavailable")
_UNKNOWN_ERROR = Status("4.3.0", 0, "unknown mail transport error")


class QueueManager:
    """The active queue of one worker. Everything runs in the worker's event loop."""

    def __init__(self, house: House, store: QueueStore, settings: Settings) -> None:
        """Settings are those of the qmgr service. The house is asked for its rewriter, agents and bouncer later."""
        self._house, self._store, self._settings = house, store, settings
        self._log = house.log(settings, "qmgr")
        self._patience = Patience.of(settings)
        self._run_delay = settings.seconds("queue_run_delay")
        self._message_limit = settings.integer("qmgr_message_active_limit")
        self._recipient_limit = settings.integer("qmgr_message_recipient_limit")
        self._transports = Transports(house, settings)
        self._rounds = Rounds(house, store, self._log, self._patience)
        self._router: Router | None = None
        self.active: dict[str, Active] = {}
        self._recipients = self._content = 0
        self._has_more = False
        self._stopping = False
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- taking mail in

    def admit(self, message: QueuedMessage) -> None:
        """A message that has just been stored. It is delivered from memory, or from the store when there is room."""
        if message.hold or self._stopping:
            return
        if message.queue_id in self.active or not self._has_room():
            self._has_more = True
            return
        self._activate(message)

    def _has_room(self, share: float = 1.0) -> bool:
        return (
            len(self.active) < self._message_limit * share
            and self._recipients < self._recipient_limit * share
            and self._content < _CONTENT_LIMIT * share
        )

    def _activate(self, message: QueuedMessage) -> None:
        now = time.time()
        size = 0 if isinstance(message.content.body, FilePart) else message.size
        active = Active(message, now, cost=size + _RECORD_LIMIT)
        self.active[message.queue_id] = active
        count = len(message.envelope.recipients) - len(message.done)
        self._recipients += count
        self._content += active.cost
        self._log.info(says.active(message.queue_id, message.envelope.sender, message.size, count))
        self._spawn(self._begin(active))

    def _forget(self, active: Active) -> None:
        """The round is over and recorded."""
        message = active.message
        if self.active.pop(message.queue_id, None) is None:
            return
        self._recipients -= len(message.envelope.recipients) - len(message.done)
        self._content -= active.cost
        if self._has_more and not self._wake.is_set() and self._has_room(_REFILL_BELOW):
            self._wake.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- one message

    async def _begin(self, active: Active) -> None:
        """Find out where the recipients go. A message for one recipient is delivered right here where limits allow."""
        try:
            routes = await self._routes(active.message)
        except Exception as error:  # the border of a delivery request: doubt is temporary
            self._complain(active.message, "rewrite", error)
            targets = tuple(Target(i, active.message.envelope.recipients[i]) for i in active.message.open_recipients)
            routes = [Route("", "", targets, deferred=_UNKNOWN_ERROR)]
        if len(routes) == 1 and (parcel := self._single_parcel(active, routes[0])):
            await self._attempt(parcel)
            return
        for route in routes:
            self._schedule(active, route)
        self._lay_down(active)

    async def _routes(self, message: QueuedMessage) -> list[Route]:
        if self._router is None:
            if self._house.rewriter is None:
                raise RuntimeError("the house has no rewriter")
            self._router = Router(self._settings, self._house.rewriter)
        return await self._router.routes(message)

    def _single_parcel(self, active: Active, route: Route) -> Parcel | None:
        """The one parcel of a message, taken at once, where nobody else waits and no limit is reached."""
        if route.deferred or route.discarded:
            return None
        transport = self._transports.get(route.transport)
        if transport is None or len(route.targets) > transport.limits.recipients or transport.has_work:
            return None
        now = time.time()
        destination = transport.destination(self._name(transport, route, route.targets))
        if not transport.has_room(now) or destination.is_dead(now) or not destination.has_room(now):
            return None
        transport.take(destination, now)
        return Parcel(active, destination, route.nexthop, route.targets)

    @staticmethod
    def _name(transport: Transport, route: Route, targets: Sequence[Target]) -> str:
        """What counts as one destination: the next hop, or the recipient where each is delivered by itself."""
        return targets[0].recipient.address.lower() if transport.limits.recipients == 1 else route.nexthop.lower()

    def _schedule(self, active: Active, route: Route) -> None:
        """Put the route's parcels in turn, or settle at once what cannot go."""
        transport = None if route.deferred or route.discarded else self._transports.get(route.transport)
        if transport is None:
            self._answer(active, route)
            return
        job = Job()
        size = 1 if active.message.envelope.verp else transport.limits.recipients
        for start in range(0, len(route.targets), size):
            targets = route.targets[start : start + size]
            destination = transport.destination(self._name(transport, route, targets))
            active.pending += 1
            transport.add(job, Parcel(active, destination, route.nexthop, targets))
        self._dispatch(transport)

    def _answer(self, active: Active, route: Route) -> None:
        """Results without an agent: deferred transports, a resolver that failed, discarded notices."""
        if route.discarded:
            outcome: Sent | Deferred = Sent(route.discarded)
            log = self._transports.own_log(self._log)
        else:
            outcome = Deferred(route.deferred or _UNAVAILABLE)
            log = self._transports.log(_ERROR_SERVICE)
        request = self._request(active, route.transport, route.nexthop, route.targets)
        active.note(log.record(request, tuple(Result(target.index, outcome) for target in route.targets)))

    def _request(self, active: Active, transport: str, nexthop: str, targets: tuple[Target, ...]) -> DeliveryRequest:
        message = active.message
        if message.envelope.verp:
            message = as_verp(message, targets[0].recipient)
        return DeliveryRequest(message, transport, nexthop, targets, active.since, time.time())

    # -- deliveries

    def _dispatch(self, transport: Transport) -> None:
        """Start as many deliveries as the limits allow."""
        if self._stopping:
            return
        now = time.time()
        while transport.has_work and transport.has_room(now) and (parcel := transport.pick(now)):
            destination = parcel.destination
            if parcel.active.withdrawn:
                self._lay_down(parcel.active)
            elif destination.dead is not None:
                self._suspend(parcel, destination.dead)
            else:
                transport.take(destination, now)
                self._spawn(self._attempt(parcel))
        if transport.has_work and now < transport.not_before:
            self._later(transport.not_before - now, transport)

    def _later(self, delay: float, transport: Transport, destination: Destination | None = None) -> None:
        """Go on after a rate delay."""

        def go_on() -> None:
            if destination is not None:
                transport.rested(destination, time.time())
            self._dispatch(transport)

        asyncio.get_running_loop().call_later(delay + 0.001, go_on)

    def _suspend(self, parcel: Parcel, status: Status) -> None:
        """Defer a parcel whose destination is dead, without trying."""
        outcome = Deferred(replace(status, text=f"delivery temporarily suspended: {status.text}"))
        request = self._request(parcel.active, parcel.destination.transport.name, parcel.nexthop, parcel.targets)
        results = tuple(Result(target.index, outcome) for target in parcel.targets)
        parcel.active.note(self._transports.log(_ERROR_SERVICE).record(request, results))
        self._lay_down(parcel.active)

    async def _attempt(self, parcel: Parcel) -> None:
        """One delivery, from the agent's hands to the record."""
        active, destination = parcel.active, parcel.destination
        transport = destination.transport
        request = self._request(active, transport.name, parcel.nexthop, parcel.targets)
        report = await self._deliver(request)
        self._judge(destination, report)
        now = time.time()
        transport.release(destination, now)
        if destination.not_before > now:
            self._later(destination.not_before - now, transport, destination)
        active.note(self._transports.log(transport.name).record(request, report.results))
        if transport.has_work:
            self._dispatch(transport)
        active.pending -= 1
        if not active.pending:
            await self._finish(active)
        elif active.unsaved and not active.is_saving:
            self._spawn(self._rounds.save(active))

    async def _deliver(self, request: DeliveryRequest) -> Report:
        """Ask the agent; whatever it raises is a deferral."""
        agent = self._transports.agent(request.transport)
        try:
            if agent is None:
                raise KeyError(request.transport)  # noqa: TRY301 - one border for all
            return await agent.deliver(request)
        except Exception as error:  # the border of a delivery request: doubt is temporary
            self._complain(request.message, request.transport, error)
            outcome = Deferred(_UNKNOWN_ERROR)
            return Report(tuple(Result(target.index, outcome) for target in request.targets))

    def _complain(self, message: QueuedMessage, transport: str, error: Exception) -> None:
        self._log.warning(says.agent_failed(message.queue_id, transport, error))
        for line in traceback.format_exception(error):
            self._log.warning(f"{message.queue_id}: {line.rstrip()}")

    def _judge(self, destination: Destination, report: Report) -> None:
        """Let the destination have more deliveries at a time, or fewer, or none for a while."""
        if report.destination_dead is None:
            destination.window.note_success(destination.busy)
        elif destination.window.note_failure():
            destination.dead = report.destination_dead
            destination.dead_until = time.time() + self._patience.minimal

    def _lay_down(self, active: Active) -> None:
        """One parcel less to wait for."""
        active.pending -= 1
        if not active.pending:
            self._spawn(self._finish(active))

    async def _finish(self, active: Active) -> None:
        await self._rounds.finish(active, self.admit)
        self._forget(active)

    # -- the queue runs

    async def run(self) -> None:
        """Look for mail whose time has come, now and every queue_run_delay; until stop()."""
        next_run = 0.0
        while not self._stopping:
            now = time.monotonic()
            if now >= next_run:
                next_run = now + self._run_delay
            self._wake.clear()
            await self._scan()
            try:
                await asyncio.wait_for(self._wake.wait(), max(next_run - time.monotonic(), 0.01))
            except TimeoutError:
                continue

    async def _scan(self) -> None:
        self._has_more = True
        while self._has_more and not self._stopping and self._has_room(_SHARE_OF_RUNS):
            try:
                limit = min(_PAGE, max(int(self._message_limit * _SHARE_OF_RUNS) - len(self.active), 1))
                found = await self._store.due(time.time(), limit, set(self.active))
            except TemporaryFailure as failure:
                self._log.warning(says.cannot_read_queue(failure.status.reason or str(failure)))
                return
            self._has_more = len(found) == limit
            for message in found:
                if message.queue_id not in self.active:
                    self._activate(message)

    async def stop(self, grace: float = 20.0) -> None:
        """Begin no more deliveries, and wait at most grace seconds for those under way. All else stays in the store."""
        self._stopping = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace)

    def listen_to_probes(self, told: Probed) -> None:
        """Have told(message, results) called for each address probe that is over (verify(8))."""
        self._rounds.on_probe = told

    # -- what administrators ask for

    async def flush(self, queue_ids: Sequence[str] | None = None) -> int:
        """Try these messages (None: all) now; destinations that were dead get another chance. How many there were."""
        if queue_ids is None:
            count = await self._store.set_all_due(_AT_ONCE)
        else:
            count = await self._store.set_due(queue_ids, _AT_ONCE)
        self.revive()
        return count

    def revive(self) -> None:
        """Forget that destinations were dead, and look at the queue now."""
        for transport in self._transports.all():
            transport.revive()
            self._dispatch(transport)
        self._wake.set()

    def withdraw(self, queue_ids: Iterable[str]) -> None:
        """These messages were removed or put on hold: begin no more deliveries of them."""
        for queue_id in queue_ids:
            active = self.active.get(queue_id)
            if active is not None:
                active.withdrawn = True
