"""The end of a round of delivery: tell the sender, record everything in one transaction, let the message go or wait."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

from posthouse.errors import TemporaryFailure
from posthouse.mail.envelope import Trace
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Deferred, Sent
from posthouse.mail.status import Status
from posthouse.maillog import qmgr as says
from posthouse.queue.qmgr.active import Active, Probed
from posthouse.queue.qmgr.backoff import Patience
from posthouse.queue.store import QueueStore, Settlement
from posthouse.services.delivery import Bouncer, Result
from posthouse.services.house import House
from posthouse.system.log import DaemonLog

_RETRY_S = 5.0
_EXPANDED = Status("2.0.0", 0, "alias expanded")
_NO_NOTICE = Status("4.3.0", 0, "bounce or trace service failure")


class Rounds:
    """Ends rounds. admit takes in the notices that came of it."""

    def __init__(self, house: House, store: QueueStore, log: DaemonLog, patience: Patience) -> None:
        self._house, self._store, self._log, self._patience = house, store, log, patience
        self.on_probe: Probed | None = None

    async def finish(self, active: Active, admit: Callable[[QueuedMessage], None]) -> None:
        """All parcels of the message have their results."""
        message, children = active.message, list[QueuedMessage]()
        now = time.time()
        if active.deferred and (
            message.forced_expire or self._patience.is_over(message.arrival, now, message.envelope.sender)
        ):
            self._log.info(says.expired(message.queue_id, message.envelope.sender, forced=message.forced_expire))
            active.expire()
        if not message.attempts:
            active.reported[:0] = _expansions(message)
        if active.failed or active.reported or active.deferred:
            children = await self._tell(active, now)
        settlement = active.settlement(self._patience, now)
        if not settlement.finished and not settlement.done and not settlement.deferred and not children:
            return
        await self.record(settlement, tuple(children))
        if settlement.finished:
            self._log.info(says.removed(message.queue_id))
        for child in children:
            admit(child)

    async def _tell(self, active: Active, now: float) -> list[QueuedMessage]:
        """Notices for the sender. Where they cannot be made, what failed counts as deferred: nothing is lost."""
        message, children = active.message, list[QueuedMessage]()
        bouncer = self._house.bouncer
        try:
            if bouncer is None:
                raise RuntimeError("the house has no bouncer")  # noqa: TRY301 - one border for all
            if message.envelope.trace & Trace.PROBE and self.on_probe is not None:
                self.on_probe(message, active.reported)
            if active.failed:
                children += await bouncer.failure(message, active.failed)
            if active.reported:
                children += await bouncer.success(message, active.reported)
            if active.deferred:
                children += await self._warn(bouncer, active, now)
        except Exception:  # part of the border of a delivery request: doubt is temporary
            self._log.warning(traceback.format_exc())
            active.deferred.update((result.index, Deferred(_NO_NOTICE)) for result in active.failed)
            active.failed.clear()
            return []
        return children

    async def _warn(self, bouncer: Bouncer, active: Active, now: float) -> list[QueuedMessage]:
        message = active.message
        if message.warned or active.withdrawn or not self._patience.is_time_to_warn(message.arrival, now):
            return []
        message.deferred = dict(active.deferred)
        notices = await bouncer.delay(message)
        message.warned = True
        return notices

    async def save(self, active: Active) -> None:
        """Record recipients that are done while others of the message are still under way."""
        active.is_saving = True
        try:
            while active.unsaved and active.pending:
                done = frozenset(active.unsaved)
                await self.record(Settlement(active.message.queue_id, done, unfinished=True))
                active.unsaved -= done
        finally:
            active.is_saving = False

    async def record(self, settlement: Settlement, children: tuple[QueuedMessage, ...] = ()) -> None:
        """Settle, as often as it takes: what has been delivered must not be delivered again."""
        if children:
            settlement = replace(settlement, children=children)
        while True:
            try:
                await self._store.settle(settlement)
            except TemporaryFailure as failure:
                self._log.warning(says.cannot_record(settlement.queue_id, failure.status.reason or str(failure)))
                await asyncio.sleep(_RETRY_S)
            else:
                return


def _expansions(message: QueuedMessage) -> list[Result]:
    """What cleanup did to recipients that asked to hear of success: reported at the end of the first round."""
    outcome = Sent(_EXPANDED, expanded=True)
    return [Result(0, outcome, logged_recipient=recipient) for recipient in message.envelope.expanded]
