"""Whether and how clients of one smtpd service may log in (postconf(5), smtpd_sasl_*; SASL_README)."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.match_list import AddressList, StringList
from posthouse.receive.smtpd.tls_level import Level, tls_level
from posthouse.sasl import open_login_service
from posthouse.services.login import Answer, LoginDialogue, LoginPeer, Offer, Unavailable
from posthouse.system.log import DaemonLog

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

# A property that an option forbids, and one that it demands.
_FORBIDS = {"noplaintext": "plaintext", "noactive": "active", "nodictionary": "dictionary", "noanonymous": "anonymous"}
_DEMANDS = {"mutual_auth": "mutual-auth", "forward_secrecy": "forward-secrecy"}
WARN_INTERVAL_S = 60.0
FREE_FAILURES = 3  # failed logins of an address before answers come later and later
LONGEST_DELAY_S = 15.0
FORGET_AFTER_S = 600.0
MOST_REMEMBERED = 10_000
MOST_AT_ONCE = 100  # logins of an address that are being checked: whoever guesses does not keep others waiting


class Logins:
    """AUTH for the sessions of one service. Raises ConfigError for settings that are no good."""

    def __init__(self, settings: Settings, log: DaemonLog) -> None:
        self._log = log
        self._service = open_login_service(settings)
        self._only_in_tls = settings.flag("smtpd_tls_auth_only") or tls_level(settings) is Level.ENCRYPT
        self._says_it_twice = settings.flag("broken_sasl_auth_clients")
        self._options = frozenset(settings.items("smtpd_sasl_security_options"))
        self._tls_options = frozenset(settings.items("smtpd_sasl_tls_security_options"))
        self._exceptions = AddressList(settings, "smtpd_sasl_exceptions_networks")
        self._filter = StringList(settings, "smtpd_sasl_mechanism_filter")
        self.response_limit = settings.integer("smtpd_sasl_response_limit")
        self._words: dict[tuple[bool, tuple[Offer, ...]], tuple[str, ...]] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._under_way: dict[str, int] = {}
        self._binds = False  # whether a mechanism is offered that needs to know the connection
        self._next_warning = 0.0

    def is_open_to(self, session: Session) -> bool:
        """Whether the session may use AUTH as things are."""
        return (session.tls is not None or not self._only_in_tls) and "auth" not in session.keyword_limits

    async def keywords(self, session: Session) -> tuple[str, ...]:
        """What EHLO says of AUTH. Where nobody can check logins now, it says nothing, and the log why.

        # Differs from Postfix, whose smtpd ends then: mail for which nobody has to log in goes on.
        """
        if not self.is_open_to(session) or self._is_excepted(session):
            return ()
        try:
            offers = await self._service.offers()
        except LookupFailed as failed:
            self._complain(str(failed))
            return ()
        key = (session.tls is not None, offers)
        words = self._words.get(key)
        if words is None:
            if len(self._words) > 10:
                self._words.clear()
            words = self._words[key] = self._announcement(self.allowed(session, offers))
        return words

    def allowed(self, session: Session, offers: tuple[Offer, ...]) -> list[str]:
        """The names of the mechanisms that the security options let this session use."""
        options = self._options if session.tls is None else self._tls_options
        forbidden = {_FORBIDS[option] for option in options if option in _FORBIDS}
        self._binds = any("channel-binding" in offer.properties for offer in offers)
        if not self._channels(session):
            forbidden.add("channel-binding")
        demanded = {_DEMANDS[option] for option in options if option in _DEMANDS}
        return [
            offer.name
            for offer in offers
            if "private" not in offer.properties and not offer.properties & forbidden and offer.properties >= demanded
        ]

    async def is_allowed(self, session: Session, mechanism: str) -> bool:
        """Whether the security options let this session use a mechanism. Raises LookupFailed where nobody knows."""
        names = self.allowed(session, await self._service.offers())
        return mechanism.upper() in {name.upper() for name in names}

    def dialogue(self, session: Session) -> LoginDialogue:
        """For one AUTH command."""
        request, tls = session.request, session.tls
        peer = LoginPeer(
            request.client_address,
            request.server_address,
            is_secured=tls is not None,
            has_trusted_certificate=tls is not None and tls.is_trusted,
            channels=self._channels(session),
        )
        return self._service.dialogue(peer)

    def _channels(self, session: Session) -> Mapping[str, bytes]:
        """What logins can be bound to; nothing where mechanisms that do so are not announced."""
        if not self._binds or session.tls is None or not self._filter.contains("SCRAM-SHA-256-PLUS"):
            return {}
        return session.tls.found.channels()

    async def check(self, session: Session, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What ask() answers; without asking, that nobody knows, where too many of this client are being checked."""
        network = _network(session.request.client_address)
        count = self._under_way.get(network, 0)
        if count >= MOST_AT_ONCE:
            return Unavailable(f"{count} logins of this client are being checked already")
        self._under_way[network] = count + 1
        try:
            return await ask()
        finally:
            self._under_way[network] -= 1
            if not self._under_way[network]:
                del self._under_way[network]

    def delay_after_failure(self, session: Session) -> float:
        """Seconds to wait before this failed login is answered: nothing at first, then more and more."""
        network, now = _network(session.request.client_address), time.monotonic()
        count, last = self._failures.pop(network, (0, now))
        count = 1 if now - last > FORGET_AFTER_S else count + 1
        if len(self._failures) >= MOST_REMEMBERED:
            del self._failures[next(iter(self._failures))]  # whose last failure is the longest ago
        self._failures[network] = (count, now)
        return 0.0 if count <= FREE_FAILURES else min(LONGEST_DELAY_S, 0.5 * 2.0 ** (count - FREE_FAILURES - 1))

    def succeeded(self, session: Session) -> None:
        """Whoever knows a password is not guessing."""
        if self._failures:
            self._failures.pop(_network(session.request.client_address), None)

    async def close(self) -> None:
        await self._service.close()

    def _announcement(self, names: list[str]) -> tuple[str, ...]:
        shown = [name for name in names if self._filter.contains(name)]
        if not shown:
            self._complain("no SASL authentication mechanisms")
            return ()
        text = " ".join(shown)
        return (f"AUTH {text}", f"AUTH={text}") if self._says_it_twice else (f"AUTH {text}",)

    def _is_excepted(self, session: Session) -> bool:
        if self._exceptions.empty:
            return False
        try:
            return self._exceptions.contains(address=session.request.client_address)
        except LookupFailed as failed:
            session.log.warning(str(failed))
            return False

    def _complain(self, text: str) -> None:
        """Once a minute: a dead auth server must not fill the log."""
        now = time.monotonic()
        if now >= self._next_warning:
            self._next_warning = now + WARN_INTERVAL_S
            self._log.warning(text)


def _network(address: str) -> str:
    """Who guesses: an IPv4 address, or a site's IPv6 network."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    except ValueError:
        return address
