"""Greylisting in the house: one for each worker, over a memory that all workers share. Where it fails, mail passes.

Kind rules know a sender by the domain that SPF has passed, whatever address it comes from; let in whom one of ours has
written to, and who is expected; and let nobody wait for longer than posthouse_greylist_longest_delay.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from posthouse.config.settings import Settings
from posthouse.maillog import greylist as lines
from posthouse.policy.greylist import texts
from posthouse.policy.greylist.drop_in import EXPIRY_CHUNK, EXPIRY_INTERVAL_S, Whitelists
from posthouse.policy.greylist.patient import PatientStore, ReadOnlyStore
from posthouse.policy.greylist.rules import Decision, Times, judge_client, judge_triplet
from posthouse.policy.greylist.store import Entry, Kind, Store, StoreFailed, open_store
from posthouse.policy.greylist.triplet import domain_of, network, recipient_key, sender_key
from posthouse.policy.greylist.whitelist import open_files, own_list, read_clients, read_recipients
from posthouse.system.log import DaemonLog

ALARM_INTERVAL_S = 60
_MAX_REMEMBERED = 4000

Proof = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A mail at the door. Names as in a policy request; sender "" is the null sender."""

    client_address: str
    client_name: str
    sender: str
    recipient: str

    @property
    def attributes(self) -> dict[str, str]:
        """As the log has them."""
        return {
            "client_name": self.client_name,
            "client_address": self.client_address,
            "sender": self.sender,
            "recipient": self.recipient,
        }


@dataclass(frozen=True, slots=True)
class HouseRules:
    """posthouse_greylist_* as they apply. Times in seconds."""

    times: Times
    domain_count: int
    longest_delay: int
    is_kind: bool
    ipv4_bits: int
    ipv6_bits: int
    knows_correspondents: bool

    @classmethod
    def of(cls, settings: Settings) -> HouseRules:
        """From main.cf."""
        times = Times(
            settings.seconds("posthouse_greylist_delay"),
            settings.seconds("posthouse_greylist_retry_window"),
            settings.seconds("posthouse_greylist_max_age"),
            settings.integer("posthouse_greylist_trusted_after"),
        )
        is_kind = settings.text("posthouse_greylist_rules").lower() == "kind"
        return cls(
            times,
            settings.integer("posthouse_greylist_trusted_domain_after"),
            settings.seconds("posthouse_greylist_longest_delay"),
            is_kind,
            settings.integer("posthouse_greylist_ipv4_bits"),
            settings.integer("posthouse_greylist_ipv6_bits"),
            is_kind and settings.flag("posthouse_greylist_knows_correspondents"),
        )


class Greylister:
    """clock and store are for tests; the rest is read from the settings."""

    def __init__(
        self, settings: Settings, log: DaemonLog, store: Store | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.rules, self._log, self._clock = HouseRules.of(settings), log, clock
        self._text = settings.text("posthouse_greylist_text")
        self._header = settings.text("posthouse_greylist_header")
        self._host = settings.text("myhostname")
        location = settings.text("posthouse_greylist_database")
        self._store: Store = store or PatientStore(lambda: open_store(location), log.error)
        self._whitelists = read_lists(settings, log)
        self._remembered: dict[str, int] = {}
        self._alarmed, self._next_expiry = 0.0, clock() + EXPIRY_INTERVAL_S

    async def judge(self, attempt: Attempt, proof: Proof) -> Decision:
        """Whether the mail is let in now. proof gives the domain that the client may send for by SPF, "" for none; it
        is asked only where that matters. Never raises.
        """
        now = int(self._clock())
        try:
            decision = await self._judge(attempt, proof, now)
            await self._expire(now)
        except (StoreFailed, ValueError) as problem:
            if now - self._alarmed >= ALARM_INTERVAL_S:
                self._alarmed = now
                self._log.error(lines.store_trouble(problem))
            return Decision(True, "out of order")
        if decision.now_trusted:
            self._log.info(lines.trusted(attempt.attributes))
        self._log.info(lines.action(decision.passes, decision.reason, decision.waited, attempt.attributes))
        return decision

    async def preview(self, attempt: Attempt, proof: Proof) -> Decision:
        """What judge would say now; nothing is remembered or logged."""
        try:
            asking = copy.copy(self)
            asking._store = ReadOnlyStore(self._store)  # noqa: SLF001 - a copy of our own
            return await asking._judge(attempt, proof, int(self._clock()))  # noqa: SLF001
        except (StoreFailed, ValueError):
            return Decision(True, "out of order")

    async def learn(self, sender: str, recipient: str) -> None:
        """One of ours (sender) writes to recipient, who need not wait when writing back."""
        if not (self.rules.knows_correspondents and sender and recipient):
            return
        key, now = _pair(recipient, sender), int(self._clock())
        if now - self._remembered.get(key, 0) < EXPIRY_INTERVAL_S:
            return
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = now
        try:
            await self._store.put(Kind.KNOWN, key, Entry(now, now, 1), 2 * self.rules.times.max_age)
        except StoreFailed as problem:
            self._log.error(lines.store_trouble(problem))

    def refusal_text(self, decision: Decision, recipient: str) -> str:
        """What the sender is told."""
        return texts.reply_text(self._text, decision.wait or self.rules.times.delay, recipient)

    def header(self, decision: Decision) -> str:
        """The header field of mail that has waited, "" for none."""
        if decision.waited is None or not self._header:
            return ""
        return texts.header_text(self._header, decision.waited, self._host, self._clock())

    async def close(self) -> None:
        """Let go of the memory."""
        await self._store.close()

    async def _judge(self, attempt: Attempt, proof: Proof, now: int) -> Decision:
        if self._whitelists.clients.has(attempt.client_name, attempt.client_address):
            return Decision(True, "client whitelist")
        if self._whitelists.recipients.has(attempt.recipient):
            return Decision(True, "recipient whitelist")
        domain = ""
        if self.rules.is_kind:
            reason = await self._welcome(attempt, now)
            if reason:
                return Decision(True, reason)
            domain = (await proof()).lower()
        return await self._judge_stranger(attempt, domain, now)

    async def _welcome(self, attempt: Attempt, now: int) -> str:
        """Why somebody is let in without waiting, "" for no reason."""
        sender, get = attempt.sender.lower(), self._store.get
        for key in (sender, domain_of(sender), attempt.client_address):
            entry = await get(Kind.EXPECTED, key) if key else None
            if entry is not None and entry.last >= now:
                return "expected"
        if self.rules.knows_correspondents and sender:
            known = await get(Kind.KNOWN, _pair(sender, attempt.recipient))
            if known is not None and now - known.last <= 2 * self.rules.times.max_age:
                return "known correspondent"
        return ""

    async def _judge_stranger(self, attempt: Attempt, domain: str, now: int) -> Decision:
        rules, store = self.rules, self._store
        times = replace(rules.times, client_count=rules.domain_count) if domain else rules.times
        net = network(attempt.client_address, rules.ipv4_bits, rules.ipv6_bits)
        client_key = f"spf:{domain}" if domain else attempt.client_address
        client = await store.get(Kind.CLIENT, client_key) if times.client_count else None
        decision = judge_client(times, client, now)
        if decision is None:
            pair = _pair(attempt.sender, attempt.recipient)
            triplet_key = f"{f'spf:{domain}' if domain else net}/{pair}"
            decision = judge_triplet(times, await store.get(Kind.TRIPLET, triplet_key), client, now)
            if rules.is_kind and not decision.passes:
                decision = await self._shorten(decision, pair, now)
            if decision.triplet is not None:
                await store.put(Kind.TRIPLET, triplet_key, decision.triplet, times.max_age)
        if decision.client is not None:
            await store.put(Kind.CLIENT, client_key, decision.client, times.max_age)
        return decision

    async def _shorten(self, decision: Decision, pair: str, now: int) -> Decision:
        """Let in a sender who has been trying for long enough, though from other addresses."""
        rules = self.rules
        seen = await self._store.get(Kind.PAIR, pair)
        if seen is None or now - seen.last > rules.times.retry_window:
            seen = Entry(now, now)
        await self._store.put(Kind.PAIR, pair, Entry(seen.first, now), rules.times.retry_window)
        waited = now - seen.first
        if waited < rules.longest_delay:
            return replace(decision, wait=min(decision.wait, rules.longest_delay - waited))
        first = Entry(min(seen.first, now - rules.times.delay), now)
        return Decision(True, "waited long enough", 0, waited, first)

    async def _expire(self, now: int) -> None:
        if now >= self._next_expiry and await self._store.expire(now, EXPIRY_CHUNK) < EXPIRY_CHUNK:
            self._next_expiry = now + EXPIRY_INTERVAL_S


def _pair(sender: str, recipient: str) -> str:
    return f"{sender_key(sender)}/{recipient_key(recipient)}"


def read_lists(settings: Settings, log: DaemonLog) -> Whitelists:
    """The whitelists of main.cf; what is wrong in them is logged once and left out."""
    names = {
        "clients": settings.items("posthouse_greylist_whitelist_clients"),
        "recipients": settings.items("posthouse_greylist_whitelist_recipients"),
    }
    files = {}
    for what, named in names.items():
        files[what], problems = open_files(named)
        for problem in problems:
            log.warning(problem)
        if not named:
            files[what] = own_list(what)
    lists = Whitelists(read_clients(files["clients"]), read_recipients(files["recipients"]))
    for problem in (*lists.clients.problems, *lists.recipients.problems):
        log.warning(problem)
    return lists
