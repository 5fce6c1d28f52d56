"""Where each recipient goes: resolve, apply content_filter and defer_transports, and group (transport, next hop)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from posthouse.config.settings import Settings
from posthouse.mail.envelope import Recipient, Trace
from posthouse.mail.message import QueuedMessage
from posthouse.mail.status import Status
from posthouse.mail.verp import verp_sender
from posthouse.services.delivery import Target
from posthouse.services.resolving import AddressClass, Resolution, Rewriter

_AT_A_TIME = 25  # recipients resolved before others get their turn
FLUSHED = 1.0  # the due time (Unix, s) of mail that an administrator wants tried now
DEFERRED_TRANSPORT = Status("4.3.2", 0, "deferred transport")
_RESOLVER_FAILED = Status("4.3.0", 0, "address resolver failure")
DISCARDED_NOTICE = Status("2.0.0", 0, "undeliverable postmaster notification discarded")


@dataclass(frozen=True, slots=True)
class Route:
    """Targets that go the same way. deferred: they do not go at all for now; discarded: they are done with."""

    transport: str
    nexthop: str
    targets: tuple[Target, ...]
    deferred: Status | None = None
    discarded: Status | None = None


class Router:
    """Finds the routes of a message's recipients."""

    def __init__(self, settings: Settings, rewriter: Rewriter) -> None:
        self._rewriter = rewriter
        self._defer_transports = frozenset(settings.items("defer_transports"))
        self._double_bounce = settings.text("double_bounce_sender").lower()
        self._filter_nexthop = settings.text("default_filter_nexthop")

    async def routes(self, message: QueuedMessage) -> list[Route]:
        """The routes of the recipients that are still open, in the order of transport and next hop."""
        indexes = message.open_recipients
        envelope, is_flushed = message.envelope, message.due == FLUSHED
        if len(indexes) == 1:
            recipient = envelope.recipients[indexes[0]]
            return [self._route(await self._resolve(message, recipient), indexes[0], recipient, is_flushed=is_flushed)]
        groups: dict[tuple[str, str, Status | None, Status | None], list[tuple[str, Target]]] = {}
        for count, index in enumerate(indexes, 1):
            recipient = envelope.recipients[index]
            route = self._route(await self._resolve(message, recipient), index, recipient, is_flushed=is_flushed)
            key = (route.transport, _grouping(route), route.deferred, route.discarded)
            groups.setdefault(key, []).append((route.nexthop, route.targets[0]))
            if not count % _AT_A_TIME:
                await asyncio.sleep(0)
        routes = []
        for (transport, _, deferred, discarded), members in groups.items():
            members.sort(key=lambda member: _by_domain(member[1]))
            targets = tuple(target for _, target in members)
            routes.append(Route(transport, members[0][0], targets, deferred, discarded))
        return routes

    async def _resolve(self, message: QueuedMessage, recipient: Recipient) -> Resolution:
        envelope = message.envelope
        if envelope.content_filter and not envelope.trace & (Trace.REPORT_ONLY | Trace.PROBE):
            transport, _, nexthop = envelope.content_filter.partition(":")
            nexthop = nexthop or self._filter_nexthop or recipient.address.rpartition("@")[2]
            return Resolution(transport, nexthop, recipient.address, AddressClass.DEFAULT)
        return await self._rewriter.resolve(
            envelope.sender, recipient.address, probe=bool(envelope.trace & Trace.PROBE)
        )

    def _route(self, resolution: Resolution, index: int, recipient: Recipient, *, is_flushed: bool) -> Route:
        if resolution.recipient != recipient.address:
            recipient = replace(
                recipient, address=resolution.recipient, original=recipient.original or recipient.address
            )
        targets = (Target(index, recipient),)
        if resolution.failed:
            return Route("", "", targets, deferred=_RESOLVER_FAILED)
        if resolution.error:
            return Route("error", resolution.error, targets)
        if resolution.transport in self._defer_transports and not is_flushed:
            return Route("", "", targets, deferred=DEFERRED_TRANSPORT)
        if resolution.address_class is AddressClass.LOCAL and self._is_double_bounce(resolution.recipient):
            return Route("", "", targets, discarded=DISCARDED_NOTICE)
        return Route(resolution.transport, resolution.nexthop, targets)

    def _is_double_bounce(self, address: str) -> bool:
        return address.rpartition("@")[0].lower() == self._double_bounce


def _grouping(route: Route) -> str:
    """Next hops that differ in case only are one, but for the texts of the error transport."""
    return route.nexthop if route.transport == "error" else route.nexthop.lower()


def _by_domain(target: Target) -> tuple[str, str]:
    address = target.recipient.address
    return address.rpartition("@")[2].lower(), address


def as_verp(message: QueuedMessage, recipient: Recipient) -> QueuedMessage:
    """The message as this recipient alone gets it: with an envelope sender that names the recipient (VERP_README)."""
    envelope = message.envelope
    sender = (
        verp_sender(envelope.verp, envelope.sender, recipient.original or recipient.address) if envelope.sender else ""
    )
    return replace(message, envelope=replace(envelope, sender=sender, verp=""))
