"""Gives parcels to the delivery agents within the limits of transports and destinations (SCHEDULER_README)."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Deferred, Sent
from posthouse.mail.status import Status
from posthouse.maillog import qmgr as says
from posthouse.queue.qmgr.active import Active
from posthouse.queue.qmgr.backoff import Patience
from posthouse.queue.qmgr.routing import Route, as_verp
from posthouse.queue.qmgr.scheduler import Destination, Job, Parcel, Transport
from posthouse.queue.qmgr.transports import Transports
from posthouse.services.delivery import DeliveryRequest, Report, Result, Target
from posthouse.system.log import DaemonLog

_ERROR_SERVICE = "retry"
_AT_A_TIME = 500  # parcels made before others get their turn
_UNAVAILABLE = Status("4.3.0", 0, "mail transport unavailable")
UNKNOWN_ERROR = Status("4.3.0", 0, "unknown mail transport error")


class Deliveries:
    """What is on its way. done(active) is called once, when the last parcel of a message has its results; progressed
    when one has and others have not. Moments are those of the monotonic clock: setting the clock disturbs nothing.
    """

    def __init__(
        self,
        transports: Transports,
        log: DaemonLog,
        patience: Patience,
        done: Callable[[Active], Coroutine[Any, Any, None]],
        progressed: Callable[[Active], Coroutine[Any, Any, None]],
    ) -> None:
        self._transports, self._log, self._patience = transports, log, patience
        self._done, self._progressed = done, progressed
        self._stopping = False
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that stop() waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stop(self, grace: float) -> None:
        """Begin no more, and wait at most grace seconds for what is under way."""
        self._stopping = True
        if self.tasks:
            await asyncio.wait(set(self.tasks), timeout=grace)

    def complain(self, message: QueuedMessage, transport: str, error: Exception) -> None:
        """What an agent (or the rewriter) should not have raised."""
        self._log.warning(says.agent_failed(message.queue_id, transport, error))
        for line in traceback.format_exception(error):
            self._log.warning(f"{message.queue_id}: {line.rstrip()}")

    # -- into turn

    async def begin(self, active: Active, routes: Sequence[Route]) -> None:
        """A message whose routes are known. One for a single recipient is delivered right here where limits allow."""
        if len(routes) == 1 and (parcel := self._single_parcel(active, routes[0])):
            await self._attempt(parcel)
            return
        for route in routes:
            await self._schedule(active, route)
        self._lay_down(active)

    def _single_parcel(self, active: Active, route: Route) -> Parcel | None:
        """The one parcel of a message, taken at once, where nobody else waits and no limit is reached."""
        if route.deferred or route.discarded:
            return None
        transport = self._transports.get(route.transport)
        if transport is None or len(route.targets) > _at_a_time(active, transport) or transport.has_work:
            return None
        now = time.monotonic()
        destination = transport.destination(_name(transport, route, route.targets))
        if not transport.has_room(now) or destination.is_dead(now) or not destination.has_room(now):
            return None
        transport.take(destination, now)
        return Parcel(active, destination, route.nexthop, route.targets)

    async def _schedule(self, active: Active, route: Route) -> None:
        """Put the route's parcels in turn, or settle at once what cannot go."""
        transport = None if route.deferred or route.discarded else self._transports.get(route.transport)
        if transport is None:
            self._answer(active, route)
            return
        job = Job()
        size = _at_a_time(active, transport)
        for count, start in enumerate(range(0, len(route.targets), size), 1):
            targets = route.targets[start : start + size]
            destination = transport.destination(_name(transport, route, targets))
            active.pending += 1
            transport.add(job, Parcel(active, destination, route.nexthop, targets))
            if not count % _AT_A_TIME:
                self.dispatch(transport)
                await asyncio.sleep(0)
        self.dispatch(transport)

    def _answer(self, active: Active, route: Route) -> None:
        """Results without an agent: deferred transports, a resolver that failed, discarded notices."""
        if route.discarded:
            outcome: Sent | Deferred = Sent(route.discarded)
            log = self._transports.own_log(self._log)
        else:
            outcome = Deferred(route.deferred or _UNAVAILABLE)
            log = self._transports.log(_ERROR_SERVICE)
        request = _request(active, route.transport, route.nexthop, route.targets)
        active.note(log.record(request, tuple(Result(target.index, outcome) for target in route.targets)))

    # -- out of the house

    def dispatch(self, transport: Transport) -> None:
        """Start as many deliveries as the limits allow."""
        if self._stopping:
            return
        now = time.monotonic()
        while transport.has_work and transport.has_room(now) and (parcel := transport.pick(now)):
            destination = parcel.destination
            if parcel.active.withdrawn:
                self._lay_down(parcel.active)
            elif destination.dead is not None:
                self._suspend(parcel, destination.dead)
            else:
                transport.take(destination, now)
                self.spawn(self._attempt(parcel))
        if transport.has_work and now < transport.not_before:
            self._later(transport.not_before - now, transport)

    def revive(self) -> None:
        """Destinations that were dead get another chance now."""
        for transport in self._transports.all():
            transport.revive()
            self.dispatch(transport)

    def _later(self, delay: float, transport: Transport, destination: Destination | None = None) -> None:
        """Go on after a rate delay."""

        def go_on() -> None:
            if destination is not None:
                transport.rested(destination, time.monotonic())
            self.dispatch(transport)

        asyncio.get_running_loop().call_later(delay + 0.001, go_on)

    def _suspend(self, parcel: Parcel, status: Status) -> None:
        """Defer a parcel whose destination is dead, without trying."""
        outcome = Deferred(replace(status, text=f"delivery temporarily suspended: {status.text}"))
        request = _request(parcel.active, parcel.destination.transport.name, parcel.nexthop, parcel.targets)
        results = tuple(Result(target.index, outcome) for target in parcel.targets)
        parcel.active.note(self._transports.log(_ERROR_SERVICE).record(request, results))
        self._lay_down(parcel.active)

    async def _attempt(self, parcel: Parcel) -> None:
        """One delivery, from the agent's hands to the record."""
        active, destination = parcel.active, parcel.destination
        transport = destination.transport
        request = _request(active, transport.name, parcel.nexthop, parcel.targets, more=destination.is_in_demand)
        report = await self._deliver(request)
        self._judge(destination, report)
        now = time.monotonic()
        transport.release(destination, now)
        if destination.not_before > now:
            self._later(destination.not_before - now, transport, destination)
        active.note(self._transports.log(transport.name).record(request, report.results))
        active.reported += report.expanded
        if transport.has_work:
            self.dispatch(transport)
        active.pending -= 1
        if not active.pending:
            await self._done(active)
        elif active.unsaved and not active.is_saving:
            active.is_saving = True
            self.spawn(self._progressed(active))

    async def _deliver(self, request: DeliveryRequest) -> Report:
        """Ask the agent; whatever it raises is a deferral."""
        agent = self._transports.agent(request.transport)
        try:
            if agent is None:
                raise KeyError(request.transport)  # noqa: TRY301 - one border for all
            return await agent.deliver(request)
        except Exception as error:  # the border of a delivery request: doubt is temporary
            self.complain(request.message, request.transport, error)
            outcome = Deferred(UNKNOWN_ERROR)
            return Report(tuple(Result(target.index, outcome) for target in request.targets))

    def _judge(self, destination: Destination, report: Report) -> None:
        """Let the destination have more deliveries at a time, or fewer, or none for a while."""
        if report.destination_dead is None:
            destination.window.note_success(destination.busy)
        elif destination.window.note_failure():
            destination.dead = report.destination_dead
            destination.dead_until = time.monotonic() + self._patience.minimal

    def _lay_down(self, active: Active) -> None:
        """One parcel less to wait for."""
        active.pending -= 1
        if not active.pending:
            self.spawn(self._done(active))


def _name(transport: Transport, route: Route, targets: Sequence[Target]) -> str:
    """What counts as one destination: the next hop, or the recipient where each is delivered by itself."""
    return targets[0].recipient.address.lower() if transport.limits.recipients == 1 else route.nexthop.lower()


def _request(
    active: Active, transport: str, nexthop: str, targets: tuple[Target, ...], *, more: bool = False
) -> DeliveryRequest:
    message = active.message
    if message.envelope.verp:
        message = as_verp(message, targets[0].recipient)
    return DeliveryRequest(message, transport, nexthop, targets, active.since, time.time(), more)


def _at_a_time(active: Active, transport: Transport) -> int:
    """Recipients of one delivery; with VERP each has an envelope sender of its own."""
    return 1 if active.message.envelope.verp else transport.limits.recipients
