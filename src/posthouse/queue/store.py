"""The contract of the queue store: what the queue keeps, and what every backend promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Deferred


class QueueName(Enum):
    """Postfix's queues as an administrator sees them."""

    INCOMING = "incoming"
    ACTIVE = "active"
    DEFERRED = "deferred"
    HOLD = "hold"
    MAILDROP = "maildrop"  # not cleaned up yet, or to go through cleanup again


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one round of delivery changed for a message, applied as a whole or not at all, with children (bounces,
    warnings) put in the same transaction.

    done: indexes finished for good. deferred: indexes that wait, with the reason. due: Unix time (s) of the next try.
    When no recipient is left open the message is removed, content and all. finished: the caller knows that none is
    left open, unfinished: that some are; both save the store from looking. attempts: tries to count. A due of 0.0
    leaves the time as it was.
    """

    queue_id: str
    done: frozenset[int] = frozenset()
    deferred: dict[int, Deferred] = field(default_factory=dict)
    due: float = 0.0
    warned: bool = False
    finished: bool = False
    attempts: int = 0
    children: tuple[QueuedMessage, ...] = ()
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of a listing, without content. recipients are the open ones: (address, reason or "")."""

    queue_id: str
    queue: QueueName
    arrival: float
    due: float
    size: int
    sender: str
    recipients: tuple[tuple[str, str], ...]
    forced_expire: bool = False


class QueueStore(Protocol):
    """Durable, one owner at a time. Waiting for put and settle waits for stable storage (group commit)."""

    async def put(self, message: QueuedMessage) -> None:
        """Keep a new message. Raises TemporaryFailure (4.3.1 for a full disk, 4.3.0) and keeps nothing then."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Record a round of delivery. Raises TemporaryFailure; the message then stays as it was."""
        ...

    async def due(self, now: float, limit: int, exclude: frozenset[str] | set[str]) -> list[QueuedMessage]:
        """At most limit messages not on hold whose time has come, the longest waiting first, with their content."""
        ...

    def take_damaged(self) -> Sequence[str]:
        """Messages that due() could not read, and put on hold; each is named once."""
        ...

    async def next_due(self) -> float | None:
        """When the next message is due (Unix time, s); None when nothing waits."""
        ...

    async def get(self, queue_id: str) -> QueuedMessage | None:
        """One message with its content."""
        ...

    def list(self) -> AsyncIterator[Listed]:
        """All messages, in bounded memory, oldest first."""
        ...

    async def set_all_due(self, due: float) -> int:
        """Change when to try next for all messages that are not on hold (postqueue -f)."""
        ...

    async def set_due(self, queue_ids: Iterable[str], due: float) -> int:
        """Change when to try next (flush: 0.0); how many there were."""
        ...

    async def bring_forward(self, latest: float, due: float) -> int:
        """Messages not on hold that would wait until after latest become due at due; how many there were."""
        ...

    async def hold(self, queue_ids: Sequence[str]) -> int:
        """Keep messages back; how many were not kept back before."""
        ...

    async def release(self, queue_ids: Sequence[str]) -> int:
        """Let messages go that were kept back, to be tried at once; how many there were."""
        ...

    async def delete(self, queue_ids: Sequence[str]) -> int:
        """Remove messages without a word to anybody; how many there were."""
        ...

    async def expire(self, queue_ids: Sequence[str]) -> int:
        """Have messages returned to their senders at the next try, however young they are; how many there were."""
        ...

    async def requeue(self, queue_ids: Sequence[str]) -> Sequence[QueuedMessage]:
        """Take messages out to go through cleanup again (postsuper -r); they stay stored, untouched by delivery, until
        settled, or put again under the same id, which replaces them. Those taken out before come along.
        """
        ...

    async def close(self) -> None: ...
