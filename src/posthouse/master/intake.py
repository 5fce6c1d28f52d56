"""The way in, for whoever has a new message: cleanup, then the queue, then the scheduler."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Protocol

from posthouse.errors import TemporaryFailure
from posthouse.mail.content import FilePart
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
        answer = await self.keep(message)
        if isinstance(submission.content.body, FilePart) or isinstance(message.content.body, FilePart):
            _drop_unused_file(submission.content.body, message.content.body, answer)
        return answer

    async def keep(self, message: QueuedMessage) -> Accepted | Refused:
        """Store a message that is fit already."""
        try:
            await self._keeper.put(message)
        except TemporaryFailure as trouble:
            return Refused(trouble.status)
        return Accepted(message.queue_id)


def _drop_unused_file(given: bytes | FilePart, kept: bytes | FilePart, answer: Accepted | Refused) -> None:
    """Where cleanup made another body file, one of the two is not needed: the queue has the new one, or nobody has.

    The file of a refused submission is for its owner to remove.
    """
    unused = given if isinstance(answer, Accepted) else kept
    if given != kept and isinstance(unused, FilePart) and _path(given) != _path(kept):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unused.path)


def _path(body: bytes | FilePart) -> str:
    return body.path if isinstance(body, FilePart) else ""
