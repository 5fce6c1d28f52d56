"""Who is delivered next: fair between messages and between destinations, within the limits of each transport.

A parcel is one message with some recipients of one destination. Messages take turns, one parcel each; a parcel whose
destination is busy waits there, out of the others' way, so a slow destination costs the healthy ones nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from posthouse.mail.status import Status
from posthouse.queue.qmgr.concurrency import Limits, Window
from posthouse.services.delivery import Target

if TYPE_CHECKING:
    from posthouse.queue.qmgr.active import Active

_TURNS_OF_NEW_JOBS = 3  # of four turns, where both kinds wait
_REMEMBERED_DESTINATIONS = 10_000
_A_FEW = 5  # deliveries to one destination at a time, which need not share a connection


class Parcel:
    """One message for some recipients of one destination."""

    __slots__ = ("active", "destination", "is_unparked", "job", "nexthop", "targets")

    def __init__(self, active: Active, destination: Destination, nexthop: str, targets: tuple[Target, ...]) -> None:
        self.active, self.destination, self.nexthop, self.targets = active, destination, nexthop, targets
        self.job: Job | None = None
        self.is_unparked = False


class Job:
    """What one message has for one transport. ready: parcels whose destination may be free."""

    __slots__ = ("is_in_turn", "ready", "served")

    def __init__(self) -> None:
        self.ready: deque[Parcel] = deque()
        self.served = 0
        self.is_in_turn = False


class Destination:
    """A next hop of a transport (or a recipient, where a transport takes one recipient at a time)."""

    __slots__ = ("busy", "dead", "dead_until", "name", "not_before", "transport", "waiting", "window")

    def __init__(self, transport: Transport, name: str) -> None:
        self.transport, self.name = transport, name
        self.window = Window(transport.limits)
        self.busy = 0
        self.dead: Status | None = None
        self.dead_until = 0.0
        self.not_before = 0.0  # rate delay
        self.waiting: OrderedDict[Job, deque[Parcel]] = OrderedDict()

    def has_room(self, now: float) -> bool:
        return self.busy < self.window.size and now >= self.not_before

    @property
    def is_in_demand(self) -> bool:
        """Whether so much goes there that a connection is likely to be of use again (CONNECTION_CACHE_README)."""
        return self.busy > _A_FEW or bool(self.waiting)

    def is_dead(self, now: float) -> bool:
        """Whether nothing is sent there for now; when the time is over it starts afresh."""
        if self.dead is None:
            return False
        if now < self.dead_until:
            return True
        self.revive()
        return False

    def revive(self) -> None:
        self.dead, self.dead_until = None, 0.0
        self.window = Window(self.transport.limits)

    def park(self, parcel: Parcel) -> None:
        """Let a parcel wait here; one that waited before is first in line again."""
        job = parcel.job or Job()
        if parcel.is_unparked:
            self.waiting.setdefault(job, deque()).appendleft(parcel)
            self.waiting.move_to_end(job, last=False)
        else:
            self.waiting.setdefault(job, deque()).append(parcel)

    def unpark(self) -> Parcel | None:
        """The next parcel that waits here, messages taking turns."""
        if not self.waiting:
            return None
        job, line = self.waiting.popitem(last=False)
        parcel = line.popleft()
        if line:
            self.waiting[job] = line
        parcel.is_unparked = True
        return parcel


class Transport:
    """A delivery service, with the mail that waits for it."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name, self.limits = name, limits
        self.destinations: dict[str, Destination] = {}
        self.busy = 0
        self.not_before = 0.0  # transport rate delay
        self._new: deque[Job] = deque()
        self._served: deque[Job] = deque()
        self._turn = 0

    def destination(self, name: str) -> Destination:
        found = self.destinations.get(name)
        if found is None:
            found = self.destinations[name] = Destination(self, name)
        return found

    def has_room(self, now: float) -> bool:
        return self.busy < self.limits.processes and now >= self.not_before

    @property
    def has_work(self) -> bool:
        return bool(self._new or self._served)

    def add(self, job: Job, parcel: Parcel, *, first: bool = False) -> None:
        """A parcel whose destination may be free."""
        parcel.job = job
        if first:
            job.ready.appendleft(parcel)
        else:
            job.ready.append(parcel)
        if not job.is_in_turn:
            job.is_in_turn = True
            (self._served if job.served else self._new).append(job)

    def pick(self, now: float) -> Parcel | None:
        """The next parcel to deliver, or one whose destination is dead (to be deferred)."""
        while job := self._next_job():
            parcel = job.ready.popleft()
            job.is_in_turn = bool(job.ready)
            destination = parcel.destination
            goes = destination.is_dead(now) or destination.has_room(now)
            if goes:
                job.served += 1
            if job.ready:
                (self._served if job.served else self._new).append(job)
            if goes:
                return parcel
            destination.park(parcel)
        return None

    def _next_job(self) -> Job | None:
        if self._new and (self._turn < _TURNS_OF_NEW_JOBS or not self._served):
            self._turn += 1
            return self._new.popleft()
        self._turn = 0
        return self._served.popleft() if self._served else None

    def take(self, destination: Destination, now: float) -> None:
        """A delivery begins."""
        self.busy += 1
        destination.busy += 1
        if self.limits.rate_delay:
            destination.not_before = now + 1e9  # until this delivery is over
        if self.limits.transport_rate_delay:
            self.not_before = now + self.limits.transport_rate_delay

    def release(self, destination: Destination, now: float) -> None:
        """A delivery is over; what waits for the destination may go on, unless it has to rest until rested()."""
        self.busy -= 1
        destination.busy -= 1
        if self.limits.rate_delay and not destination.dead:
            destination.not_before = now + self.limits.rate_delay
            return
        self.rested(destination, now)

    def rested(self, destination: Destination, now: float) -> None:
        """The destination may be used again."""
        self.wake(destination)
        if not destination.busy and not destination.waiting:
            self._forget(destination, now)

    def wake(self, destination: Destination) -> None:
        """Bring parcels that wait for the destination back into turn, as many as it has room for."""
        room = destination.window.size - destination.busy
        if destination.dead:
            room = sum(len(line) for line in destination.waiting.values())
        while room > 0 and (parcel := destination.unpark()):
            self.add(parcel.job or Job(), parcel, first=True)
            room -= 1

    def _forget(self, destination: Destination, now: float) -> None:
        if destination.dead is None and now >= destination.not_before:
            self.destinations.pop(destination.name, None)
        elif len(self.destinations) > _REMEMBERED_DESTINATIONS:
            self.drop_idle(now)

    def drop_idle(self, now: float) -> None:
        """Forget destinations that have nothing to do; of the dead the oldest, where there are too many."""
        idle = [d for d in self.destinations.values() if not d.busy and not d.waiting]
        idle.sort(key=lambda d: d.dead_until)
        excess = len(self.destinations) - _REMEMBERED_DESTINATIONS // 2
        for number, destination in enumerate(idle):
            if number < excess or (not destination.is_dead(now) and now >= destination.not_before):
                self.destinations.pop(destination.name, None)

    def revive(self) -> None:
        """Forget that destinations were dead (postqueue -f)."""
        for destination in self.destinations.values():
            destination.revive()
            self.wake(destination)
