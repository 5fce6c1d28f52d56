"""The smtp and lmtp delivery agents: for each host that may take the mail, connect, shake hands, transact (smtp(8))."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.deliver.smtp import failure
from posthouse.deliver.smtp.cache import ConnectionCache, goodbye
from posthouse.deliver.smtp.connection import Connection, connect
from posthouse.deliver.smtp.content import WireContent
from posthouse.deliver.smtp.generic import GenericMaps
from posthouse.deliver.smtp.handshake import greet_again, shake_hands
from posthouse.deliver.smtp.hosts import HostFinder
from posthouse.deliver.smtp.login import SaslClient
from posthouse.deliver.smtp.nexthop import NextHop, parse_next_hops
from posthouse.deliver.smtp.outgoing_checks import OutgoingChecks
from posthouse.deliver.smtp.passing import pass_all
from posthouse.deliver.smtp.peer import Peer
from posthouse.deliver.smtp.reply_filter import ReplyFilter
from posthouse.deliver.smtp.rules import client_rules
from posthouse.deliver.smtp.starttls import TlsClient, weaker
from posthouse.deliver.smtp.tls_per_site import SiteUnknown
from posthouse.deliver.smtp.tls_policy import TlsDemand, TlsPolicies
from posthouse.deliver.smtp.tls_policy_row import BadPolicy, Level
from posthouse.deliver.smtp.transaction import Exchange, Letter, Transaction
from posthouse.errors import ConfigError, LookupFailed
from posthouse.mail.outcome import Bounced, Deferred, Outcome
from posthouse.mail.status import Status
from posthouse.maillog import smtp as lines
from posthouse.services.delivery import DeliveryRequest, Report, Result, Target
from posthouse.services.house import House

_LOOP = "5.4.6"


@dataclass(slots=True)
class Attempt:
    """The bookkeeping of one request: what is left to do, what came of the rest, and why it did not work so far."""

    request: DeliveryRequest
    left: list[Target]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    last: Deferred | Bounced | None = None
    connected: float = 0.0
    sessions: int = 0
    reached: bool = False


class SmtpAgent:
    """Implements posthouse.services.delivery.DeliveryAgent for master.cf services that run smtp or lmtp."""

    def __init__(self, service: Service, settings: Settings, house: House) -> None:
        self._lmtp = service.command == "lmtp"
        self._prefix = "lmtp" if self._lmtp else "smtp"
        self._settings = settings
        self._log, self._house = house.log(settings, self._prefix), house
        self._best_mx = settings.text("best_mx_transport")
        self._finder = HostFinder(settings, house, self._prefix, self._log)
        self._rules = client_rules(settings, self._prefix)
        self._policies = TlsPolicies(settings, self._prefix, self._log)
        self._tls = TlsClient(settings, self._prefix, self._log, house.key_files)
        self._sasl = SaslClient(settings, self._prefix, self._log)
        self._generic = GenericMaps(settings, self._prefix, house, self._log)
        self._checks = OutgoingChecks(settings, self._prefix, self._log)
        replies = ReplyFilter(settings, self._prefix, self._log)
        self._reply_filter = None if replies.empty else replies
        self._cache = ConnectionCache(
            settings.seconds(f"{self._prefix}_connection_cache_time_limit"),
            settings.seconds(f"{self._prefix}_connection_reuse_time_limit"),
            settings.integer(f"{self._prefix}_connection_reuse_count_limit"),
        )

    async def deliver(self, request: DeliveryRequest) -> Report:
        """Try every host of every next hop until all recipients are settled."""
        attempt = Attempt(request, list(request.targets))
        try:
            hops = parse_next_hops(request.nexthop, lmtp=self._lmtp)
        except ConfigError as error:
            attempt.last = Deferred(Status("4.3.5", 0, f"mail system configuration error: {error}"))
            hops = []
        await self._try_hops(attempt, hops)
        if attempt.left and not _loops(attempt.last) and self._rules.fallback:
            await self._try_hops(attempt, parse_next_hops(self._rules.fallback))
        if attempt.left and _loops(attempt.last) and self._best_mx and not self._lmtp:
            passed = await pass_all(self._house, self._log, request, tuple(attempt.left), self._best_mx)
            attempt.left = []
            return Report((*passed, *self._report(attempt).results))
        return self._report(attempt)

    async def close(self) -> None:
        self._cache.close()

    async def _try_hops(self, attempt: Attempt, hops: list[NextHop]) -> None:
        for number, hop in enumerate(hops, 1):
            await self._try_hop(attempt, hop, is_last=number == len(hops) and not self._rules.fallback)
            if not attempt.left or _loops(attempt.last):
                return

    async def _try_hop(self, attempt: Attempt, hop: NextHop, *, is_last: bool) -> None:
        cached = self._cache.take(attempt.request.nexthop)
        if cached is not None:
            attempt.connected = attempt.request.handed_over
            await self._transact(attempt, cached, is_last=None)
            if not attempt.left:
                return
        attempt.sessions = 0
        peers = await self._finder.peers(hop)
        if not isinstance(peers, list):
            attempt.last = peers
            return
        for number, peer in enumerate(peers, 1):
            if self._rules.session_limit and attempt.sessions >= self._rules.session_limit:
                return
            demand = await self._demand(attempt, hop.text, peer)
            if demand is None:
                return
            await self._try_peer(attempt, peer, demand, is_last=is_last and number == len(peers))
            if not attempt.left:
                return

    async def _try_peer(self, attempt: Attempt, peer: Peer, demand: TlsDemand, *, is_last: bool) -> None:
        try:
            connection = await connect(
                peer, self._rules.connect_limit, self._rules.bind[6 if ":" in peer.address else 4]
            )
        except OSError as error:
            attempt.last = failure.no_connection(peer, error)
            self._log.info(attempt.last.status.text)
            return
        connection.reply_filter = self._reply_filter
        try:
            refusal = await self._prepare(attempt, connection, demand)
        except BaseException:
            connection.abort()
            raise
        attempt.connected = time.time()
        if refusal is None:
            # Who refuses to talk does not count towards smtp_mx_session_limit.
            attempt.sessions += 1
            await self._transact(attempt, connection, is_last=is_last or self._is_last_session(attempt))
            return
        if connection.tls_failed:
            connection.abort()
            if demand.level is Level.MAY and await self._is_due_in_clear(attempt.request, peer, demand):
                self._note(attempt, refusal, is_last=False)
                await self._try_peer(attempt, peer, weaker(demand), is_last=is_last)
                return
        goodbye(connection)
        self._note(attempt, refusal, is_last=is_last or isinstance(refusal, Bounced))
        attempt.last = refusal
        if isinstance(refusal, Bounced):
            attempt.outcomes.update((target.index, refusal) for target in attempt.left)
            attempt.left = []

    async def _prepare(self, attempt: Attempt, connection: Connection, demand: TlsDemand) -> Deferred | Bounced | None:
        """From the greeting to a session that may carry mail: hello, TLS, login. What stands in the way, or None."""
        refusal: Deferred | Bounced | None = None
        if self._rules.tls_from_the_start and not connection.peer.path:
            refusal = await self._tls.begin(connection, demand)
        refusal = refusal or await shake_hands(connection, self._rules.hello)
        if refusal is None and connection.tls is None:
            refusal = await self._tls.negotiate(connection, demand)
            if refusal is None and connection.tls is not None:
                refusal = await greet_again(connection, self._rules.hello)
        if refusal is None and self._sasl.enabled:
            refusal = await self._sasl.log_in(connection, attempt.request.message, demand.next_hop)
        return refusal

    async def _is_due_in_clear(self, request: DeliveryRequest, peer: Peer, demand: TlsDemand) -> bool:
        """Where TLS is only welcome, mail that has waited goes without it; a password never does."""
        if request.active_since - request.message.arrival < self._rules.clear_after:
            return False
        sender = request.message.envelope.sender
        return not (self._sasl.enabled and await self._sasl.has_password(sender, peer.name, demand.next_hop))

    async def _demand(self, attempt: Attempt, next_hop: str, peer: Peer) -> TlsDemand | None:
        """The TLS that the destination gets; None, with the reason noted, when there can be no connection."""
        if peer.path or (self._policies.never and not self._rules.tls_from_the_start):
            return TlsDemand(Level.NONE, next_hop)
        try:
            demand = await self._policies.demand(next_hop, peer.name)
        except BadPolicy as bad:
            status = Status("4.7.5", 0, "client TLS configuration problem")
            if isinstance(bad, SiteUnknown):
                status = Status("4.3.0", 0, "Temporary lookup error")
            self._log.warning(lines.no_policy(next_hop, peer.name, status.text))
            attempt.last = Deferred(status)
            return None
        if self._rules.tls_from_the_start and not demand.is_mandatory:
            self._log.warning(lines.wrapper_in_clear(self._prefix))
            attempt.last = Deferred(Status("4.3.0", 0, "server unavailable or unable to receive mail"))
            return None
        return demand

    def _is_last_session(self, attempt: Attempt) -> bool:
        return bool(self._rules.session_limit) and attempt.sessions >= self._rules.session_limit

    async def _transact(self, attempt: Attempt, connection: Connection, *, is_last: bool | None) -> None:
        """One transaction; soft failures go to the next host if there is one.

        is_last None is a kept connection: what it answers holds, but when it breaks the host is tried anew.
        """
        attempt.reached = True
        try:
            letter = await self._letter(attempt, connection)
        except LookupFailed as error:
            self._log.warning(f"{error}")
            attempt.last = Deferred(Status("4.3.0", 0, f"{self._prefix}_generic_maps lookup failure"))
            goodbye(connection)
            return
        exchange = await Transaction(connection, letter, self._rules.limits, self._rules.envelope).run()
        self._settle(attempt, letter, exchange, is_last=exchange.usable if is_last is None else is_last)
        if not exchange.usable:
            connection.close()
            return
        if not (self._may_keep(attempt.request, connection) and self._cache.keep(attempt.request.nexthop, connection)):
            goodbye(connection)

    def _may_keep(self, request: DeliveryRequest, connection: Connection) -> bool:
        if (self._sasl.enabled and self._sasl.by_sender) or (connection.tls is not None and not connection.reuses_tls):
            return False
        if self._rules.keeps_on_demand and (self._cache.is_in_demand(request.nexthop) or request.connection_reuse):
            return True
        return request.nexthop in self._rules.keeps_always

    async def _letter(self, attempt: Attempt, connection: Connection) -> Letter:
        """What goes over this connection, with addresses as smtp_generic_maps has them. Raises LookupFailed."""
        message, targets = attempt.request.message, tuple(attempt.left)
        envelope, inside = message.envelope, message.content
        if not self._generic.empty:
            inside = await self._generic.content(inside)
            envelope = replace(envelope, sender=await self._generic.address(envelope.sender))
            targets = tuple([await self._outside(target) for target in targets])
        content = WireContent(
            inside,
            size=message.size,
            eight_bit=envelope.encoding == "8BITMIME",
            convert=self._rules.converts,
            line_limit=self._rules.line_limit,
        )
        if not self._checks.empty:
            content.checks = (self._checks, message.queue_id)
        xforward = self._rules.xforward and bool(connection.features.xforward)
        return Letter(message.queue_id, envelope, targets, content, xforward)

    async def _outside(self, target: Target) -> Target:
        address = await self._generic.address(target.recipient.address)
        return replace(target, recipient=replace(target.recipient, address=address))

    def _settle(self, attempt: Attempt, letter: Letter, exchange: Exchange, *, is_last: bool) -> None:
        for target in letter.targets:
            outcome = exchange.outcomes[target.index]
            if isinstance(outcome, Deferred) and not is_last and not exchange.uncertain:
                self._note(attempt, outcome, is_last=False)
                attempt.last = outcome
            else:
                attempt.outcomes[target.index] = outcome
        attempt.left = [target for target in attempt.left if target.index not in attempt.outcomes]

    def _note(self, attempt: Attempt, refusal: Deferred | Bounced, *, is_last: bool) -> None:
        """What goes on to the next host leaves a line of its own; the last one's is the status line."""
        if not is_last:
            self._log.info(f"{attempt.request.message.queue_id}: {refusal.status.text}")

    def _report(self, attempt: Attempt) -> Report:
        last = attempt.last or Deferred(Status("4.4.1", 0, f"no host for {attempt.request.nexthop} can be reached"))
        for target in attempt.left:
            attempt.outcomes[target.index] = last
        now = time.time()
        results = tuple(
            Result(target.index, attempt.outcomes[target.index], connected=attempt.connected, finished=now)
            for target in attempt.request.targets
            if target.index in attempt.outcomes
        )
        dead = last.status if attempt.left and isinstance(last, Deferred) else None
        return Report(results, destination_dead=dead)


def _loops(last: Deferred | Bounced | None) -> bool:
    """Whether the destination is this host: then no other host is tried."""
    return isinstance(last, Bounced) and last.status.dsn == _LOOP


def build(service: Service, settings: Settings, house: House) -> SmtpAgent:
    """The agent for a service of master.cf that runs smtp or lmtp."""
    return SmtpAgent(service, settings, house)
