"""A message while it is in the active queue, and what one round of delivery makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from posthouse.mail.envelope import Notify, Trace
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Sent
from posthouse.mail.status import Status
from posthouse.maillog import delivery as says
from posthouse.queue.qmgr.backoff import Patience
from posthouse.queue.store import Settlement
from posthouse.services.delivery import DeliveryRequest, Result
from posthouse.system.log import DaemonLog

_NO_RESULT = Deferred(Status("4.3.0", 0, "delivery agent gave no result"))
_ASKING = Trace.REPORT_ONLY | Trace.PROBE


@dataclass(slots=True, eq=False)
class Active:
    """A round of delivery for one message. pending counts parcels that have no result yet, and 1 while recipients are
    still being resolved. cost: recipients that it counts for in the active queue. withdrawn: an administrator took the
    message away. unsaved: done, and not yet in the store.
    """

    message: QueuedMessage
    since: float
    cost: int = 0
    pending: int = 1
    withdrawn: bool = False
    unsaved: set[int] = field(default_factory=set)
    is_saving: bool = False
    failed: list[Result] = field(default_factory=list)
    reported: list[Result] = field(default_factory=list)
    deferred: dict[int, Deferred] = field(default_factory=dict)

    def note(self, results: list[Result]) -> None:
        """Take up the final results of a parcel (one or more for a recipient; any Deferred means that it waits)."""
        envelope = self.message.envelope
        is_question = bool(envelope.trace and envelope.trace & _ASKING)
        waiting = {r.index: r.outcome for r in results if isinstance(r.outcome, Deferred)}
        for result in results:
            if isinstance(result.outcome, Bounced) and not is_question:
                self.failed.append(result)
            elif result.index not in waiting:
                self.unsaved.add(result.index)
            notify = envelope.recipients[result.index].notify
            if envelope.trace or self.message.warned or (notify and notify & Notify.SUCCESS):
                self.reported.append(result)
        if is_question:
            self.unsaved.update(waiting)
        else:
            self.deferred.update(waiting)

    @property
    def is_finished(self) -> bool:
        """Whether no recipient waits: then the message can go."""
        return not self.deferred and not self.withdrawn

    def settlement(self, patience: Patience, now: float) -> Settlement:
        """What the store is to record at the end of the round, without children."""
        done = self.unsaved | {result.index for result in self.failed if result.index not in self.deferred}
        due = patience.next_try(self.message.arrival, now) if self.deferred else 0.0
        return Settlement(
            self.message.queue_id,
            frozenset(done),
            dict(self.deferred),
            due,
            warned=self.message.warned,
            finished=self.is_finished,
            attempts=1,
        )

    def expire(self) -> None:
        """Nobody waits any longer: those who did have failed."""
        for index, outcome in self.deferred.items():
            bounced = Bounced(outcome.status, outcome.relay, outcome.remote_mta, outcome.diagnostic)
            self.failed.append(Result(index, bounced))
        self.deferred.clear()


def log_word(outcome: Outcome, trace: Trace, *, soft_bounce: bool) -> str:
    """What the log calls an outcome."""
    if trace and trace & _ASKING:
        return "deliverable" if isinstance(outcome, Sent) else "undeliverable"
    if soft_bounce and isinstance(outcome, Bounced):
        return "SOFTBOUNCE"
    return says.word(outcome)


def soften(outcome: Outcome) -> Outcome:
    """A refusal as it counts with soft_bounce: the mail stays, and its code says so (5.1.1 becomes 4.1.1)."""
    if not isinstance(outcome, Bounced):
        return outcome
    status = outcome.status
    softer = Status("4" + status.dsn[1:] if status.dsn.startswith("5") else status.dsn, 0, status.text, status.reason)
    return Deferred(softer, outcome.relay, outcome.remote_mta, outcome.diagnostic)


class DeliveryLog:
    """Writes the status lines of one transport."""

    def __init__(self, log: DaemonLog, *, soft_bounce: bool, resolution: int = 2) -> None:
        self.log, self._soft_bounce, self._resolution = log, soft_bounce, resolution
        self.others: Callable[[str], DeliveryLog] | None = None

    def record(self, request: DeliveryRequest, results: tuple[Result, ...]) -> list[Result]:
        """Log each result; the results as they count. Recipients without one, or with one too many, are put right."""
        message, counted = request.message, []
        wanted = {target.index: target.recipient for target in request.targets}
        now = time.time()
        missing = wanted.keys() - {result.index for result in results}
        results += tuple(Result(index, _NO_RESULT) for index in sorted(missing))
        for result in results:
            if result.index not in wanted:
                continue
            outcome = result.outcome
            said = log_word(outcome, message.envelope.trace, soft_bounce=self._soft_bounce)
            if self._soft_bounce:
                outcome = soften(outcome)
                result = _with_outcome(result, outcome)
            times = says.Times(
                message.arrival, request.active_since, request.handed_over, result.connected, result.finished or now
            )
            shown = result.logged_recipient or wanted[result.index]
            # Mail that local passed on (mailbox_transport) is logged under the transport that took it.
            log = self.others(result.transport).log if result.transport and self.others is not None else self.log
            if not result.unlogged:
                log.info(says.status(message.queue_id, shown, outcome, times, said))
            counted.append(result)
        return counted


def _with_outcome(result: Result, outcome: Outcome) -> Result:
    if outcome is result.outcome:
        return result
    return Result(result.index, outcome, result.connected, result.finished, result.logged_recipient)


Probed = Callable[[QueuedMessage, list[Result]], None]
"""Told of what probes found (address verification)."""
