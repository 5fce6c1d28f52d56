"""The contract of the queue store: what the queue keeps, and what every backend promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one round of delivery changed for a message, applied as a whole or not at all, with children (bounces,
    warnings) put in the same transaction.

    done: indexes finished for good. deferred: indexes that wait, with the reason. due: Unix time (s) of the next try.
    When no recipient is left open the message is removed, content and all.
    """

    queue_id: str
    done: frozenset[int] = frozenset()
    deferred: dict[int, Deferred] = field(default_factory=dict)
    due: float = 0.0
    warned: bool = False
    children: tuple[QueuedMessage, ...] = ()


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

    async def next_due(self) -> float | None:
        """When the next message is due (Unix time, s); None when nothing waits."""
        ...

    async def get(self, queue_id: str) -> QueuedMessage | None:
        """One message with its content."""
        ...

    def list(self) -> AsyncIterator[Listed]:
        """All messages, in bounded memory, oldest first."""
        ...

    async def set_due(self, queue_ids: Iterable[str], due: float) -> int:
        """Change when to try next (flush: 0.0); how many there were."""
        ...

    async def hold(self, queue_ids: Sequence[str]) -> int: ...

    async def release(self, queue_ids: Sequence[str]) -> int: ...

    async def delete(self, queue_ids: Sequence[str]) -> int: ...

    async def requeue(self, queue_ids: Sequence[str]) -> list[QueuedMessage]:
        """Take messages out to go through cleanup again (postsuper -r); they stay stored until put or settled anew."""
        ...

    async def close(self) -> None: ...


def open_indexes(message: QueuedMessage) -> Iterator[int]:
    """Indexes of the recipients that still want delivery."""
    return iter(message.open_recipients)
