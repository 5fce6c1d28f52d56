"""postgrey's ways with the policy delegation protocol: a request's attributes in, an action out (postgrey(8))."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from posthouse.maillog import greylist as lines
from posthouse.policy.greylist import texts
from posthouse.policy.greylist.rules import Decision, Times, judge_client, judge_triplet
from posthouse.policy.greylist.store import Kind, Store, StoreFailed
from posthouse.policy.greylist.triplet import hidden, network, recipient_key, sender_key
from posthouse.policy.greylist.whitelist import ClientWhitelist, RecipientWhitelist

REQUIRED = ("client_address", "client_name", "sender", "recipient")
EXPIRY_INTERVAL_S = 3600
EXPIRY_CHUNK = 100
_MAX_INSTANCES = 2000
_ALARM_INTERVAL_S = 60
DUNNO = "DUNNO"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of postgrey. by_host: the whole address counts. is_private: keys are kept as hashes."""

    times: Times = field(default_factory=Times)
    ipv4_bits: int = 24
    ipv6_bits: int = 64
    is_private: bool = False
    action: str = "DEFER_IF_PERMIT"
    text: str = texts.TEXT
    header: str = texts.HEADER
    host: str = "localhost"

    def by_host(self) -> Options:
        """Without any bits stripped."""
        return replace(self, ipv4_bits=32, ipv6_bits=128)


@dataclass(slots=True)
class Whitelists:
    """What is left alone."""

    clients: ClientWhitelist = field(default_factory=ClientWhitelist)
    recipients: RecipientWhitelist = field(default_factory=RecipientWhitelist)


@dataclass(frozen=True, slots=True)
class Books:
    """Where what happened is told: every decision, odd requests, and what somebody has to look after."""

    tell: Callable[[str], None]
    complain: Callable[[str], None]
    alarm: Callable[[str], None]


class Postgrey:
    """The daemon's answers. whitelists may be exchanged while it runs. A store that fails lets mail pass."""

    def __init__(
        self,
        options: Options,
        store: Store,
        whitelists: Whitelists,
        books: Books,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.whitelists = whitelists
        self._options, self._store, self._books, self._clock = options, store, books, clock
        self._instances: dict[str, None] = {}
        self._alarmed = 0.0
        self._next_expiry = clock() + EXPIRY_INTERVAL_S
        self._removed = 0

    async def answer(self, attributes: dict[str, str]) -> str:
        """The action for a request. Never raises: what cannot be judged passes."""
        problem = self._problem_with(attributes)
        if problem:
            self._books.complain(problem)
            return DUNNO
        now = int(self._clock())
        try:
            decision = self._excepted(attributes) or await self._judge(attributes, now)
            await self._expire(now)
        except StoreFailed as failure:
            if now - self._alarmed >= _ALARM_INTERVAL_S:
                self._alarmed = now
                self._books.alarm(lines.store_trouble(failure))
            return DUNNO
        if decision.now_trusted:
            self._books.tell(lines.trusted(attributes))
        self._books.tell(lines.action(decision.passes, decision.reason, decision.waited, attributes))
        return self._action(decision, attributes)

    def _problem_with(self, attributes: dict[str, str]) -> str:
        request = attributes.get("request", "")
        if request != "smtpd_access_policy":
            return lines.wrong_request(request)
        missing = next((name for name in REQUIRED if name not in attributes), "")
        if missing:
            return lines.missing(missing)
        try:
            network(attributes["client_address"], self._options.ipv4_bits, self._options.ipv6_bits)
        except ValueError:
            return f"client_address is no address: {attributes['client_address'][:100]}"
        return ""

    def _excepted(self, attributes: dict[str, str]) -> Decision | None:
        if self.whitelists.clients.has(attributes["client_name"], attributes["client_address"]):
            return Decision(True, "client whitelist")
        if self.whitelists.recipients.has(attributes["recipient"]):
            return Decision(True, "recipient whitelist")
        return None

    async def _judge(self, attributes: dict[str, str], now: int) -> Decision:
        options, store = self._options, self._store
        client_key = self._name(attributes["client_address"])
        client = await store.get(Kind.CLIENT, client_key) if options.times.client_count else None
        decision = judge_client(options.times, client, now)
        lifetime = options.times.max_age
        if decision is None:
            net = network(attributes["client_address"], options.ipv4_bits, options.ipv6_bits)
            sender, recipient = sender_key(attributes["sender"]), recipient_key(attributes["recipient"])
            triplet_key = self._name(f"{net}/{sender}/{recipient}")
            decision = judge_triplet(options.times, await store.get(Kind.TRIPLET, triplet_key), client, now)
            if decision.triplet is not None:
                await store.put(Kind.TRIPLET, triplet_key, decision.triplet, lifetime)
        if decision.client is not None:
            await store.put(Kind.CLIENT, client_key, decision.client, lifetime)
        return decision

    def _name(self, key: str) -> str:
        return hidden(key) if self._options.is_private else key

    def _action(self, decision: Decision, attributes: dict[str, str]) -> str:
        options = self._options
        if not decision.passes:
            text = texts.reply_text(options.text, options.times.delay, attributes["recipient"])
            return f"{options.action} {texts.with_status(text) if 'etrn_domain' in attributes else text}"
        if decision.waited is None or not options.header or not self._is_first_of(attributes.get("instance", "")):
            return DUNNO
        return f"PREPEND {texts.header_text(options.header, decision.waited, options.host, self._clock())}"

    def _is_first_of(self, instance: str) -> bool:
        """Whether the message has no header field yet: one is enough for all its recipients."""
        if not instance:
            return True
        if instance in self._instances:
            return False
        if len(self._instances) >= _MAX_INSTANCES:
            del self._instances[next(iter(self._instances))]
        self._instances[instance] = None
        return True

    async def _expire(self, now: int) -> None:
        """Once in a while forget what is old, a little with each request, so that nobody waits for it."""
        if now < self._next_expiry:
            return
        removed = await self._store.expire(now, EXPIRY_CHUNK)
        self._removed += removed
        if removed < EXPIRY_CHUNK:
            self._next_expiry = now + EXPIRY_INTERVAL_S
            if self._removed:
                self._books.tell(lines.cleaned(self._removed))
            self._removed = 0
