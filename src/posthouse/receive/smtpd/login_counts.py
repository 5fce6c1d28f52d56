"""posthouse_sasl_login_*: how much mail one login may send, whichever service and address its clients use (anvil(8)).

A stolen password sends from many addresses at once; what a login sends beyond its measure waits for somebody to look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.match_list import StringList
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.services.counting import ClientCounter
from posthouse.services.house import House

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session
    from posthouse.receive.smtpd.transaction import Transaction

COUNTED_AS = "login"  # in place of a service: one count for all of them


class LoginLimits:
    """Asks the house's counter. Without limits, a login, or a counter nothing is counted."""

    def __init__(self, settings: Settings, house: House) -> None:
        self._house = house
        self._messages = settings.integer("posthouse_sasl_login_message_rate_limit")
        self._recipients = settings.integer("posthouse_sasl_login_recipient_rate_limit")
        self._unit = settings.seconds("anvil_rate_time_unit")
        self._exceptions = StringList(settings, "posthouse_sasl_login_rate_exceptions")
        # Who passes mail on to a filter while it comes has no queue to hold it in.
        is_held = settings.text("posthouse_sasl_login_rate_action") == "hold"
        self._holds = is_held and not settings.text("smtpd_proxy_filter")

    def message(self, session: Session, transaction: Transaction) -> Reply | None:
        """MAIL FROM."""
        counter = self._counter(session) if self._messages else None
        if counter is None:
            return None
        count = counter.message(COUNTED_AS, session.request.sasl_username.lower())
        if count <= self._messages:
            return None
        return self._exceeded(session, transaction, "message", f"{count}/{self._unit}s")

    def recipient(self, session: Session, transaction: Transaction) -> Reply | None:
        """RCPT TO."""
        counter = self._counter(session) if self._recipients else None
        if counter is None:
            return None
        count = counter.recipient(COUNTED_AS, session.request.sasl_username.lower())
        if count <= self._recipients:
            return None
        return self._exceeded(session, transaction, "recipient", f"{count}/{self._unit}s")

    def _counter(self, session: Session) -> ClientCounter | None:
        login = session.request.sasl_username
        if not login or self._house.anvil is None:
            return None
        try:
            return None if self._exceptions.contains(login) else self._house.anvil
        except LookupFailed as failed:
            session.log.warning(str(failed))
            return None  # in doubt nobody's mail is held up

    def _exceeded(self, session: Session, transaction: Transaction, what: str, rate: str) -> Reply | None:
        login = session.request.sasl_username
        if self._holds:
            transaction.over_limit = transaction.over_limit or lines.login_over_limit(login, what, rate)
            return None
        session.blamed = "policy"
        session.log.warning(f"{session.client}: {lines.login_over_limit(login, what, rate)}")
        much = "much mail" if what == "message" else "many recipients"
        return refuse(450, "4.7.1", f"<{login}>: Error: too {much} from this login")
