"""The joint between the queue manager and the delivery agents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from posthouse.mail.envelope import Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Outcome
from posthouse.mail.status import Status


@dataclass(frozen=True, slots=True)
class Target:
    """One recipient of a request: its index in the message's envelope, and the recipient with the resolved address."""

    index: int
    recipient: Recipient


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """Deliver this message to these recipients. transport is the service's name in master.cf, nexthop where to.

    active_since and handed_over (Unix times, s) are when qmgr took the message up and when it gave it to the agent.
    connection_reuse: more mail for this destination is likely to come soon (smtp keeps the connection then).
    """

    message: QueuedMessage
    transport: str
    nexthop: str
    targets: tuple[Target, ...]
    active_since: float
    handed_over: float
    connection_reuse: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one recipient. connected: Unix time (s) when the connection stood (0.0: handed_over, no
    connection), finished: when this recipient was done; both for delays=a/b/c/d. logged_recipient replaces the address
    in the log line where an agent changed it (local's alias members). unlogged: for notices of success only.
    """

    index: int
    outcome: Outcome
    connected: float = 0.0
    finished: float = 0.0
    logged_recipient: Recipient | None = None
    transport: str = ""
    unlogged: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a request, for each target at least one; a recipient that an alias expanded may have several, of
    which any Deferred means "not done". destination_dead: the whole destination failed (the scheduler backs off).
    """

    results: tuple[Result, ...]
    destination_dead: Status | None = None
    extra: dict[str, str] = field(default_factory=dict)


class DeliveryAgent(Protocol):
    """Brings mail to its place. Writes no status line and no bounce: the caller logs, marks and bounces."""

    async def deliver(self, request: DeliveryRequest) -> Report:
        """Try once. A recipient without a result, and any exception, count as deferred with 4.3.0."""
        ...

    async def close(self) -> None:
        """Give back connections and the like; no delivery is under way."""
        ...


class Bouncer(Protocol):
    """Makes notices for senders (bounce(8)). Each returns messages that are fit for the queue, so that the queue can
    store them in the same transaction in which the original changes; [] where nobody is to be told.
    """

    async def failure(self, message: QueuedMessage, results: list[Result]) -> list[QueuedMessage]:
        """Undeliverable mail: to the sender, to postmaster by notify_classes, double bounces."""
        ...

    async def delay(self, message: QueuedMessage) -> list[QueuedMessage]:
        """The delay warning for message.deferred."""
        ...

    async def success(self, message: QueuedMessage, results: list[Result]) -> list[QueuedMessage]:
        """NOTIFY=SUCCESS notices, the reports of sendmail -v and -bv, and the answers to address verification's probes.

        A message whose trace is REPORT_ONLY or PROBE ends here with all its results, deferred and bounced ones too: it
        is neither bounced nor tried again.
        """
        ...
