"""smtpd_client_*_limit: how many connections, messages and recipients one client may have (anvil(8))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.match_list import HostList
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.rules import Rules
from posthouse.services.counting import ClientCounter
from posthouse.services.house import House

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session


class ClientLimits:
    """Asks the house's counter; without one, and for smtpd_client_event_limit_exceptions, nothing is counted."""

    def __init__(self, rules: Rules, settings: Settings, house: House) -> None:
        self._rules, self._house = rules, house
        self._exceptions = HostList(settings, "smtpd_client_event_limit_exceptions")
        self._counted: dict[Session, str] = {}

    def connected(self, session: Session) -> Reply | None:
        """A client has come; the reply where there are too many of it."""
        counter = self._counter(session)
        rules = self._rules
        if counter is None or not (rules.connections or rules.connection_rate):
            return None
        address = session.request.client_address
        count, rate = counter.connect(rules.service_name, address)
        self._counted[session] = address
        for limit, value, what in (
            (rules.connections, count, "Connection concurrency"),
            (rules.connection_rate, rate, "Connection rate"),
        ):
            if limit and value > limit:
                self._warn(session, what, value)
                text = f"{rules.myhostname} Error: too many connections from {address}"
                return refuse(421, "4.7.0", text, closes=True)
        return None

    def gone(self, session: Session) -> None:
        """The client has left."""
        address = self._counted.pop(session, None)
        if address is not None and self._house.anvil is not None:
            self._house.anvil.disconnect(self._rules.service_name, address)

    def message(self, session: Session) -> Reply | None:
        """MAIL FROM."""
        limit = self._rules.message_rate
        counter = self._counter(session) if limit else None
        if counter is None:
            return None
        address = session.request.client_address
        count = counter.message(self._rules.service_name, address)
        if count <= limit:
            return None
        self._warn(session, "Message delivery request rate", count)
        return refuse(450, "4.7.1", f"Error: too much mail from {address}")

    def recipient(self, session: Session) -> Reply | None:
        """RCPT TO."""
        limit = self._rules.recipient_rate
        counter = self._counter(session) if limit else None
        if counter is None:
            return None
        address = session.request.client_address
        count = counter.recipient(self._rules.service_name, address)
        if count <= limit:
            return None
        self._warn(session, "Recipient address rate", count)
        return refuse(450, "4.7.1", f"Error: too many recipients from {address}")

    def may_not_begin_tls(self, session: Session, how: str) -> bool:
        """Whether the client has begun too many TLS sessions already; how it asks for one is for the log."""
        limit, request = self._rules.new_tls_rate, session.request
        counter = self._counter(session) if limit else None
        if counter is None or counter.tls_sessions_so_far(self._rules.service_name, request.client_address) <= limit:
            return False
        session.blamed = "policy"
        session.log.warning(lines.tls_not_begun(how, session.client, self._rules.service_name))
        return True

    def new_tls_session(self, session: Session) -> Reply | None:
        """A TLS handshake that resumed nothing."""
        limit = self._rules.new_tls_rate
        tls = session.tls
        counter = self._counter(session) if limit and tls is not None and not tls.found.is_resumed else None
        if counter is None:
            return None
        count = counter.new_tls_session(self._rules.service_name, session.request.client_address)
        if count <= limit:
            return None
        self._warn(session, "New TLS session rate", count)
        text = f"{self._rules.myhostname} Error: too many new TLS sessions from {session.client}"
        return refuse(421, "4.7.0", text, closes=True)

    def authentication(self, session: Session) -> Reply | None:
        """AUTH."""
        limit = self._rules.auth_rate
        counter = self._counter(session) if limit else None
        if counter is None:
            return None
        address = session.request.client_address
        count = counter.authentication(self._rules.service_name, address)
        if count <= limit:
            return None
        self._warn(session, "AUTH command rate", count)
        return refuse(450, "4.7.1", f"Error: too many AUTH commands from {address}")

    def _counter(self, session: Session) -> ClientCounter | None:
        counter = self._house.anvil
        if counter is None:
            return None
        request = session.request
        try:
            excepted = self._exceptions.contains(request.client_name, request.client_address)
        except LookupFailed as failed:
            session.log.warning(str(failed))
            excepted = True  # in doubt nobody is turned away
        return None if excepted else counter

    def _warn(self, session: Session, what: str, count: int) -> None:
        session.blamed = "policy"
        session.log.warning(lines.limit_exceeded(what, count, session.client, self._rules.service_name))
