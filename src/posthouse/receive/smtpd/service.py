"""One smtpd service of master.cf: makes sessions, keeps their number, and sees them off (smtpd(8), master(5))."""

from __future__ import annotations

import asyncio
import heapq
import os

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.filters.smtpd_proxy_filter import proxy_rule
from posthouse.lookup.maps import Maps, open_maps
from posthouse.lookup.match_list import HostList, MatchList, StringList
from posthouse.maillog import smtpd as lines
from posthouse.policy.gate import Gate
from posthouse.protocols.smtp_data import BareNewline
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.arrival import banner
from posthouse.receive.smtpd.client_counts import ClientLimits
from posthouse.receive.smtpd.conversation import Conversation
from posthouse.receive.smtpd.footer import Footers
from posthouse.receive.smtpd.login_counts import LoginLimits
from posthouse.receive.smtpd.logins import Logins
from posthouse.receive.smtpd.milters import open_milters
from posthouse.receive.smtpd.old_defaults import OldDefaults
from posthouse.receive.smtpd.open_gate import OpenGate
from posthouse.receive.smtpd.rewrite_context import RewriteContext
from posthouse.receive.smtpd.rules import read_rules
from posthouse.receive.smtpd.session import Session
from posthouse.receive.smtpd.tls import open_tls_server
from posthouse.receive.smtpd.transcript import Transcripts
from posthouse.receive.smtpd.upstream_proxy import ProxiedSession, open_upstream_proxy
from posthouse.receive.smtpd.verbs import smtp_verbs
from posthouse.receive.smtpd.verbs.xclient import KEYWORD as XCLIENT
from posthouse.receive.smtpd.verbs.xforward import KEYWORD as XFORWARD
from posthouse.services.house import House
from posthouse.services.intake import Refused

AnyGate = Gate | OpenGate
SWEEP = 1.0  # s between two looks at the sessions' time limits
MANY_SESSIONS = 16_000  # above this the limits under stress apply (STRESS_README)
MOST_SESSIONS = 20_000
FIRST_SESSION_NUMBER = 4_194_305  # above every process id (docs/decisions/session_numbers.md)
GRACE = 10.0  # s that open sessions have when the service closes


class SmtpdService:
    """All that the sessions of a service share. gate is asked about every command.

    stand_alone is `sendmail -bs`: no restriction, milter or filter is asked.
    Raises ConfigError for settings that are no good, tables that cannot be opened among them.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        house: House,
        gate: AnyGate | None = None,
        stand_alone: bool = False,
    ) -> None:
        self.settings, self.house = settings, house
        self.rules = read_rules(settings, service.name)
        self.verbs = smtp_verbs()
        self.stand_alone = stand_alone
        self.spool_directory = f"{self.rules.queue_directory}/posthouse/spool"
        self.gate = gate or (OpenGate() if stand_alone else Gate(settings, house))
        self._transcripts = Transcripts(settings)
        self._notices: set[asyncio.Task[None]] = set()
        self.banner = banner(self.rules.banner)
        self.log = house.log(settings, "smtpd")
        self.tls = None if stand_alone else open_tls_server(settings, house, self.log)
        has_logins = settings.flag("smtpd_sasl_auth_enable") and not stand_alone
        self.logins = Logins(settings, self.log) if has_logins else None
        self.milters = None if stand_alone else open_milters(settings)
        self.proxy = None if stand_alone else proxy_rule(settings)
        self.upstream_proxy = None if stand_alone else open_upstream_proxy(settings)
        self.limits, self.stress = self.rules.limits, self.rules.stress
        self.command_filter: Maps | None = _maps(settings, "smtpd_command_filter")
        self.clients = ClientLimits(self.rules, settings, house)
        self.login_limits = LoginLimits(settings, house)
        self.rewrite_context = RewriteContext(settings)
        self._footers = Footers(settings, self.rules)
        self._forbidden = StringList(settings, "smtpd_forbidden_commands")
        self._keyword_maps = _maps(settings, "smtpd_discard_ehlo_keyword_address_maps")
        self.xclient_hosts = _hosts(settings, "smtpd_authorized_xclient_hosts")
        self.xforward_hosts = _hosts(settings, "smtpd_authorized_xforward_hosts")
        self.verp_hosts = _hosts(settings, "smtpd_authorized_verp_clients")
        self._flush_domains = MatchList(settings, "fast_flush_domains")
        self.old_defaults = OldDefaults(settings)
        self._bare_newline_exclusions: HostList | None = None
        if settings.knows("smtpd_forbid_bare_newline_exclusions"):
            self._bare_newline_exclusions = _hosts(settings, "smtpd_forbid_bare_newline_exclusions")
        self._instances = self._slots = 0
        self._space: tuple[float, int | None] = (0.0, None)  # until when it is known, bytes
        self._sessions: set[Session] = set()
        self._free_slots: list[int] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs the sessions."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    @property
    def wants_tls_first(self) -> bool:
        """smtpd_tls_security_level = encrypt."""
        return self.tls is not None and self.tls.rules.is_required

    def protocol_factory(self) -> asyncio.Protocol:
        """A session, for loop.create_server or one end of a socket pair."""
        if self.upstream_proxy is not None:
            return ProxiedSession(self, self.upstream_proxy)
        return Session(self)

    @property
    def session_count(self) -> int:
        """Open sessions."""
        return len(self._sessions)

    async def close(self, grace: float = GRACE) -> None:
        """Let open sessions finish; after grace (s) those that are left hear 421. Nothing new should arrive."""
        if self._sessions:
            self._empty = asyncio.Event()
            try:
                async with asyncio.timeout(grace):
                    await self._empty.wait()
            except TimeoutError:
                text = f"{self.rules.myhostname} Service shutting down and closing connection"
                for session in tuple(self._sessions):
                    session.end(refuse(421, "4.3.2", text, closes=True), "")
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._notices:
            await asyncio.gather(*self._notices, return_exceptions=True)
        await self.gate.close()
        if self.logins is not None:
            await self.logins.close()

    # -- what sessions ask

    def opened(self, session: Session) -> None:
        """A session begins; it gets its number in the log."""
        self._sessions.add(session)
        session.slot = heapq.heappop(self._free_slots) if self._free_slots else self._slots
        if session.slot == self._slots:
            self._slots += 1
        number = FIRST_SESSION_NUMBER + session.slot - 1 if session.slot else os.getpid()
        session.log = self.log.named(self.log.label, number)
        self._watch_stress()
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(SWEEP, self._sweep)

    def left(self, session: Session) -> None:
        """A session is over."""
        if session not in self._sessions:
            return
        session.log.info(lines.disconnect(session.client, session.counts))
        self.clients.gone(session)
        if session.blames and self._transcripts.concerns(session):
            self._notify(session)
        self._sessions.discard(session)
        heapq.heappush(self._free_slots, session.slot)
        self._watch_stress()
        if not self._sessions and self._empty is not None:
            self._empty.set()

    def _notify(self, session: Session) -> None:
        """The postmaster hears of the session (notify_classes)."""
        intake = self.house.intake
        if intake is None or self.stand_alone:
            return
        notice = self._transcripts.notice(session, intake.new_queue_id())

        async def deliver() -> None:
            result = await intake.take(notice)
            if isinstance(result, Refused):
                self.log.warning(f"no postmaster notice about {session.client}: {result.status.text}")

        task = self.loop.create_task(deliver())
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    def count_connection(self, session: Session) -> Reply | None:
        """Whether this client, or anybody, has too many connections."""
        if len(self._sessions) > MOST_SESSIONS:
            return refuse(421, "4.3.2", f"{self.rules.myhostname} All server ports are busy", closes=True)
        return self.clients.connected(session)

    def connections_of(self, address: str) -> int:
        """How many sessions a client has."""
        return sum(session.request.client_address == address for session in self._sessions)

    def footer(self, session: Conversation, reply: Reply) -> str:
        """smtpd_reject_footer for this reply, or ""."""
        return self._footers.of(session, reply)

    def forbids(self, word: str) -> bool:
        """smtpd_forbidden_commands."""
        try:
            return self._forbidden.contains(word)
        except LookupFailed as failed:
            self.log.warning(str(failed))
            return False

    def discarded_keywords(self, address: str) -> frozenset[str]:
        """EHLO keywords that this client is not told (in small letters)."""
        if self._keyword_maps is not None:
            found = self._keyword_maps.lookup(address)
            if found is not None:
                return frozenset(found.lower().replace(",", " ").split())
        return self.rules.discard_ehlo

    def may_use(self, session: Session, hosts: HostList | None) -> bool:
        """Whether the client is among the hosts that an extension is for."""
        if hosts is None:
            return False
        try:
            return hosts.contains(session.request.client_name, session.request.client_address)
        except LookupFailed as failed:
            session.log.warning(str(failed))
            return False

    def extra_keywords(self, session: Session) -> tuple[str, ...]:
        """EHLO keywords for some clients only."""
        if self.xclient_hosts is None and self.xforward_hosts is None and self.verp_hosts is None:
            return ()
        extras = [
            word
            for word, hosts in (("XVERP", self.verp_hosts), (XCLIENT, self.xclient_hosts))
            if self.may_use(session, hosts)
        ]
        return (*extras, XFORWARD) if session.may_forward else tuple(extras)

    def bare_newline_mode(self, session: Session) -> BareNewline:
        """smtpd_forbid_bare_newline, less its exclusions."""
        if self._bare_newline_exclusions is not None and self.may_use(session, self._bare_newline_exclusions):
            return BareNewline.ALLOW
        return self.rules.bare_newline

    def next_instance(self, now: float) -> str:
        """A name for a transaction that no other has (SMTPD_POLICY_README)."""
        self._instances += 1
        return f"{os.getpid():x}.{int(now):x}.{self._instances:x}.0"

    def flushes(self, domain: str) -> bool:
        """fast_flush_domains."""
        try:
            return self._flush_domains.contains(domain)
        except LookupFailed as failed:
            self.log.warning(str(failed))
            return False

    def free_space(self) -> int | None:
        """Bytes free in the queue's file system, looked at once a second; None where nobody knows."""
        now = self.loop.time()
        until, space = self._space
        if now >= until:
            try:
                found = os.statvfs(self.rules.queue_directory)
                space = found.f_bavail * found.f_frsize
            except OSError:
                space = None
            self._space = (now + SWEEP, space)
        return space

    # -- time

    def _watch_stress(self) -> None:
        stressed = len(self._sessions) > MANY_SESSIONS
        self.limits = self.rules.limits_under_stress if stressed else self.rules.limits
        self.stress = self.rules.stress or ("yes" if stressed else "")

    def _sweep(self) -> None:
        now = self.loop.time()
        for session in tuple(self._sessions):
            if session.deadline <= now and session.is_waiting_for_client:
                session.time_out()
        self._sweeper = self.loop.call_later(SWEEP, self._sweep) if self._sessions else None


def _maps(settings: Settings, name: str) -> Maps | None:
    maps = open_maps(settings, name)
    return None if maps.empty else maps


def _hosts(settings: Settings, name: str) -> HostList | None:
    return HostList(settings, name) if settings.text(name) else None
