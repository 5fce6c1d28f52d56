"""Milters in an SMTP session: what they are told at each command, and how their rulings are obeyed (MILTER_README)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.filters.milter import Effect, Ruling
from posthouse.filters.milter_settings import MilterRule
from posthouse.filters.milters import MilterPlan, Milters, plan_of
from posthouse.lookup.maps import open_maps
from posthouse.mail.status import Status
from posthouse.maillog import milter as lines
from posthouse.protocols.milter import Event
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.checks import log_note
from posthouse.receive.smtpd.milter_macros import session_macro

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

_LINE = re.compile(r"([45][0-9]{2})[ -]?(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})[ \t]+)?(.*)", re.DOTALL)
_MISCONFIGURED = "451 4.3.5 Server configuration problem - try again later"


def status_of(reply: str) -> Status:
    """A milter's reply as a status; one of several lines keeps them in its text, as they came."""
    found = _LINE.match(reply)
    if found is None or "\r\n" in reply:
        return Status("", int(reply[:3]) if reply[:3].isdigit() else 451, reply)
    return Status(found[2] or "", int(found[1]), found[3])


def as_reply(status: Status) -> Reply:
    """The reply to send for a status, which a milter may have written in several lines."""
    if "\r\n" not in status.text:
        return Reply(status, closes=status.code == 421)
    rows = [row[4:] for row in status.text.split("\r\n")]
    return Reply(Status("", status.code, rows[-1]), tuple(rows[:-1]), closes=status.code == 421)


class SmtpdMilters:
    """What an smtpd service knows of its milters (smtpd_milters, smtpd_milter_maps)."""

    __slots__ = ("_maps", "_plan", "settings")

    def __init__(self, settings: Settings, plan: MilterPlan) -> None:
        self.settings, self._plan = settings, plan
        self._maps = open_maps(settings, "smtpd_milter_maps")

    def begin(self, session: Session) -> SessionMilters | None:
        """The milters for the client that has just come; None where there are none."""
        rules = self._plan.rules
        if not self._maps.empty:
            try:
                rules = self._rules_for(session.request.client_address)
            except LookupFailed as failed:
                session.log.warning(f"{failed}: smtpd_milter_maps lookup failed")
                rules = self._plan.rules
        return SessionMilters(session, self, rules, self._plan) if rules else None

    def _rules_for(self, address: str) -> tuple[MilterRule, ...]:
        found = self._maps.lookup(address)
        return self._plan.rules if found is None else self._plan.rules_of(found)


def open_milters(settings: Settings) -> SmtpdMilters | None:
    """For a service; None where no milter is configured, and nothing is asked. Raises ConfigError."""
    plan = plan_of(settings, "smtpd_milters", "smtpd_milter_maps")
    if plan is None or "no_milters" in settings.items("receive_override_options"):
        return None
    return SmtpdMilters(settings, plan)


class SessionMilters:
    """The milters of one session. is_unwelcome: they refused the client, which is then offered no extensions."""

    __slots__ = ("_about", "_service", "_session", "is_unwelcome", "milters")

    def __init__(self, session: Session, service: SmtpdMilters, rules: Sequence[MilterRule], plan: MilterPlan) -> None:
        self._session, self._service = session, service
        self.milters = Milters(rules, plan.lists, self.macro, session.log)
        self.is_unwelcome = False
        self._about: dict[str, str] = {}  # macros about the sender or recipient at hand

    # -- events

    async def greet(self) -> Reply | None:
        """A client has come. The reply in place of the banner; None: the banner."""
        request = self._session.request
        name = "" if request.client_name == "unknown" else request.client_name
        refused = self._obey(await self.milters.connect(name, request.client_address, request.client_port), "CONNECT")
        if refused is None:
            return None
        hostname = self._session.service.rules.myhostname
        if refused.status.code == 421:
            return refuse(421, "", f"{hostname} Service unavailable - try again later", closes=True)
        if refused.status.code >= 500:
            self.is_unwelcome = True
            return refuse(554, "", f"{hostname} ESMTP not accepting connections")
        return None  # the client hears of it at its first MAIL, as in sendmail

    async def helo(self, name: str, word: str) -> Reply | None:
        """HELO or EHLO; a reply only where it ends the session."""
        refused = self._obey(await self.milters.helo(name), word)
        self.is_unwelcome = refused is not None and refused.status.code >= 500
        return refused if refused is not None and refused.closes else None

    async def mail(self, words: Sequence[str]) -> Reply | None:
        """MAIL FROM; words are the address and the parameters as the client wrote them."""
        sender = self._session.request.sender or ""
        self._about = {"{mail_addr}": sender}
        if self.milters.uses_macro(Event.MAIL, "{mail_host}", "{mail_mailer}"):
            await self._resolve("mail", sender)
        return self._obey(await self.milters.mail(words), "MAIL")

    async def rcpt(self, words: Sequence[str], recipient: str) -> Reply | None:
        """RCPT TO, for a recipient that policy lets pass."""
        if self._is_exempt():
            return None
        self._about["{rcpt_addr}"] = recipient
        if self.milters.uses_macro(Event.RCPT, "{rcpt_host}", "{rcpt_mailer}"):
            await self._resolve("rcpt", recipient)
        return self._obey(await self.milters.rcpt(words), "RCPT", recipient)

    async def refused_rcpt(self, words: Sequence[str], refused: Reply) -> None:
        """A recipient that policy does not let pass, for milters that asked to hear of them."""
        if self.milters.wants_refused_recipients and not self._is_exempt():
            status = refused.status
            about = {"{rcpt_mailer}": "error", "{rcpt_host}": status.dsn, "{rcpt_addr}": status.text.partition(" ")[2]}
            self._about |= about
            await self.milters.refused_rcpt(words)

    async def data(self, where: str) -> Reply | None:
        """DATA, or the first BDAT."""
        transaction = self._session.transaction
        if transaction is None or self._is_exempt():
            return None
        first = transaction.recipients[0].address
        self._about["{rcpt_addr}"] = first
        ruling = await self.milters.data()
        self._about = {}  # with the content come no macros about the envelope
        return self._obey(ruling, where, first)

    async def unknown(self, command: str, otherwise: Reply) -> Reply:
        """A command that we do not know."""
        return self._obey(await self.milters.unknown(command), "UNKNOWN") or otherwise

    def abort(self) -> None:
        """The transaction is over."""
        self.milters.abort()
        self.milters.speak_for(self.macro, self._session.log)
        self._about = {}

    def disconnect(self) -> None:
        """The session is over."""
        self.milters.disconnect()

    def _is_exempt(self) -> bool:
        """Whether the message is thrown away in any case."""
        transaction = self._session.transaction
        return transaction is not None and transaction.discard is not None

    # -- what a ruling does

    def _obey(self, ruling: Ruling | None, where: str, recipient: str | None = None) -> Reply | None:
        if ruling is None:
            return None
        session, transaction = self._session, self._session.transaction
        match ruling.effect:
            case Effect.HOLD:
                log_note(session, ruling.effect.value, where, lines.HOLD, recipient)
                if transaction is not None:
                    transaction.hold = transaction.hold or ""
                return None
            case Effect.DISCARD:
                log_note(session, ruling.effect.value, where, lines.DISCARD, recipient)
                if transaction is not None:
                    transaction.discard = ""
                return None
            case Effect.REFUSE | Effect.CLOSE:
                log_note(session, Effect.REFUSE.value, where, ruling.reply, recipient)
                session.blamed = "policy"
                return as_reply(status_of(ruling.reply))

    # -- macros

    def macro(self, name: str) -> str | None:
        """The value of a macro; None where there is none."""
        found = self._about.get(name)
        if found is not None:
            return found
        return session_macro(self._session, self._service.settings, name)

    async def _resolve(self, kind: str, address: str) -> None:
        """{mail_host} and {mail_mailer}, {rcpt_host} and {rcpt_mailer}: where mail to the address would go."""
        rewriter = self._session.service.house.rewriter
        if rewriter is None:
            return
        asked = address or f"MAILER-DAEMON@{self._service.settings.text('myorigin')}"
        found = await rewriter.resolve("", asked)
        self._about[f"{{{kind}_mailer}}"] = found.transport
        self._about[f"{{{kind}_host}}"] = found.nexthop
