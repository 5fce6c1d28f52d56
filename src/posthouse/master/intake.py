"""The way in, for whoever has a new message: cleanup, then the queue, then the scheduler."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from posthouse.errors import TemporaryFailure
from posthouse.mail.message import QueuedMessage
from posthouse.mail.status import Status
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Discarded, Refused, Submission

NO_CLEANUP = Status("4.3.0", 451, "4.3.0 Error: queue file write error", "no cleanup service of that name")


class NewQueueId(Protocol):
    def __call__(self) -> str: ...


class Keeper(Protocol):
    """Where messages go (master.shares.Shares)."""

    async def put(self, message: QueuedMessage) -> None: ...


class HouseIntake:
    """services.intake.Intake of a worker."""

    def __init__(self, house: House, keeper: Keeper, new_queue_id: NewQueueId) -> None:
        self._house, self._keeper = house, keeper
        self.new_queue_id = new_queue_id

    async def take(self, submission: Submission) -> Accepted | Discarded | Refused:
        """Clean up, store, hand to the scheduler; durable when it returns Accepted."""
        cleanup = self._house.cleanups.get(submission.cleanup_service)
        if cleanup is None:
            return Refused(NO_CLEANUP)
        if not submission.queue_id:
            submission = dataclasses.replace(submission, queue_id=self.new_queue_id())
        message = await cleanup.make_fit(submission)
        if not isinstance(message, QueuedMessage):
            return message
        return await self.keep(message)

    async def keep(self, message: QueuedMessage) -> Accepted | Refused:
        """Store a message that is fit already."""
        try:
            await self._keeper.put(message)
        except TemporaryFailure as trouble:
            return Refused(trouble.status)
        return Accepted(message.queue_id)
