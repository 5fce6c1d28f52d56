"""The state of an SMTP session, its books of successes and errors, and its replies (smtpd(8))."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from posthouse.errors import TemporaryFailure
from posthouse.maillog import smtpd as lines
from posthouse.policy.request import Request
from posthouse.protocols.smtp_server import Reply, refusal, refuse, softened
from posthouse.receive.smtpd.checks import client_slots
from posthouse.receive.smtpd.content_spool import ContentSpool
from posthouse.receive.smtpd.verbs import NOOP_OK

if TYPE_CHECKING:
    from posthouse.receive.smtpd.incoming import Incoming
    from posthouse.receive.smtpd.milters import SessionMilters
    from posthouse.receive.smtpd.service import SmtpdService
    from posthouse.receive.smtpd.tls_session import TlsSession
    from posthouse.receive.smtpd.transaction import Transaction
    from posthouse.receive.smtpd.verbs import Verb
    from posthouse.system.log import DaemonLog

INTERNAL_ERROR = refuse(451, "4.3.0", "Error: queue file write error")


class Conversation(asyncio.Protocol):
    """request is what policy sees; client is "name[address]" as the log has it; where is the last command's name."""

    __slots__ = (
        "_buffer",
        "_busy",
        "_delayed",
        "_ended",
        "_out",
        "_overlong",
        "_paused",
        "_position",
        "_working",
        "aborted",
        "blamed",
        "blames",
        "chunk_state",
        "client",
        "closed",
        "closing",
        "counts",
        "deadline",
        "denied",
        "errors",
        "history",
        "incoming",
        "is_after_login",
        "junk",
        "keyword_limits",
        "last_login",
        "log",
        "may_forward",
        "milters",
        "noted",
        "queue_id",
        "request",
        "service",
        "slot",
        "tls",
        "transaction",
        "transport",
        "where",
        "xforward",
    )  # fmt: skip
    log: DaemonLog

    def __init__(self, service: SmtpdService) -> None:
        self.service = service
        self.transport: asyncio.Transport | None = None
        self._buffer, self._position = b"", 0
        self._overlong: bytes | None = None
        self._out: list[bytes] = []
        self._busy, self._working, self._paused, self._delayed = True, False, False, False  # busy until the greeting
        self.closing = self.closed = self.noted = False
        self.is_after_login = False  # the last command that was one was AUTH
        self.may_forward = False  # XFORWARD, by the address it really has
        self.chunk_state: str | None = None  # "open" or "failed" from the first BDAT on
        self.counts: dict[str, list[int]] = {}
        self.errors = self.junk = self.slot = 0
        self.deadline = 0.0
        self._ended = False  # the client will send no more
        self.denied: Reply | None = None
        self.incoming: Incoming | None = None
        self.keyword_limits: frozenset[str] = service.rules.discard_ehlo
        self.queue_id = ""
        self.transaction: Transaction | None = None
        self.history: list[Reply | bytes] = []
        self.blames: set[str] | frozenset[str] = frozenset()
        self.blamed = self.aborted = ""
        self.where = "CONNECT"
        self.xforward: dict[str, str] | None = None
        self.tls: TlsSession | None = None
        self.milters: SessionMilters | None = None
        self.last_login = ""  # of the last AUTH that failed, for the log
        self.request = Request("unknown")
        self.client = "unknown[unknown]"

    def _go_on(self) -> None:
        """After a pause: what was read meanwhile is dealt with now."""
        raise NotImplementedError

    def _write(self) -> None:
        """The replies that are ready go out."""
        raise NotImplementedError

    def _leave(self) -> None:
        """The session is over."""
        raise NotImplementedError

    # -- the books

    def settle(self, verb: Verb | None, reply: Reply) -> None:
        """Send the reply and keep the books of successes and errors."""
        bad = reply.status.code >= 400 or reply.is_error
        if reply is not NOOP_OK:
            self.count(verb.word.lower() if verb else "unknown", good=not bad)
        self.send(reply)
        if bad:
            self.errors += 1
            self.blame(self.blamed or "protocol")
        if reply is NOOP_OK or (verb is not None and verb.is_junk):
            if self.junk > self.service.limits.junk_commands:
                self.errors += 1
            self.junk += 1

    def blame(self, error_class: str) -> None:
        """For the postmaster (notify_classes)."""
        self.blames = self.blames | {error_class}
        self.blamed = ""

    def count(self, word: str, *, good: bool) -> None:
        """For the disconnect line."""
        count = self.counts.get(word)
        if count is None:
            count = self.counts[word] = [0, 0]
        count[0] += good
        count[1] += 1

    def _failed(self, error: BaseException) -> Reply:
        """The first of the three borders where any exception stops: the mail is not taken, the client may try later."""
        self.blamed = "resource" if isinstance(error, TemporaryFailure) else "software"
        if isinstance(error, TemporaryFailure):
            return refusal(error.status)
        for line in "".join(traceback.format_exception(error)).rstrip().split("\n"):
            self.log.error(f"{self.queue_id or 'NOQUEUE'}: {line}")
        self.forget_transaction()
        return INTERNAL_ERROR

    def send(self, reply: Reply) -> None:
        """Queue the reply; it is written when the work at hand is done. Clients with many errors wait for it."""
        if self.closing:
            return
        rules = self.service.rules
        if rules.soft_bounce and reply.status.code >= 500:
            reply = softened(reply)
        footer = self.service.footer(self, reply) if reply.status.code >= 400 else ""
        self._out.append(reply.wire(footer))
        self.history.append(reply)
        if reply.closes or reply.status.code in (421, 521):
            self.closing = True
        if rules.error_sleep and self.errors >= rules.soft_errors:
            self._busy = self._delayed = True
            self.service.loop.call_later(rules.error_sleep, self._go_on)

    def open_queue_file(self) -> None:
        """The message gets its queue id, and the log the line that ties it to the client."""
        intake = self.service.house.intake
        if intake is None:
            raise RuntimeError("no intake")
        self.queue_id = self.request.queue_id = intake.new_queue_id()
        self.log.info(lines.client(self.queue_id, self.client, client_slots(self)))

    def new_spool(self) -> ContentSpool:
        """Where the message's content goes."""
        rules = self.service.rules
        name = self.queue_id
        if not name and self.service.house.intake is not None:  # behind smtpd_proxy_filter it has none
            name = self.service.house.intake.new_queue_id()
        return ContentSpool(self.service.spool_directory, name, rules.size_limit)

    def forget_transaction(self) -> None:
        """After RSET, HELO, and each message."""
        if self.milters is not None:
            self.milters.abort()
        if self.transaction is not None:
            self.transaction.drop()
            self.transaction = None
        self.queue_id = self.request.queue_id = ""
        self.chunk_state = None
        request = self.request
        request.sender = request.recipient = None
        request.sasl_sender = ""
        request.recipient_count = request.size = 0
        request.smtputf8, request.dsn_envid, request.instance = False, "", ""
        request.header = None

    # -- the end

    def _too_many_errors(self) -> None:
        self.log.info(lines.too_many_errors(self.client, self.where))
        self.aborted = "too many errors"
        self.send(refuse(421, "4.7.0", f"{self.service.rules.myhostname} Error: too many errors", closes=True))

    def refuse_bare_newline(self) -> None:
        """smtpd_forbid_bare_newline = reject."""
        rules = self.service.rules
        self.log.info(lines.bare_newline(self.client, self.where))
        dsn = "5.5.2" if rules.bare_newline_code >= 500 else "4.5.2"
        self.send(refuse(rules.bare_newline_code, dsn, f"{rules.myhostname} Error: bare <LF> received", closes=True))

    def end(self, reply: Reply, line: str) -> None:
        """Close the connection from this side, with a last reply and a log line ("" none)."""
        if self.closing:
            return
        if line:
            self.log.info(line)
        if self.incoming is not None:
            self.count(self.where.lower(), good=False)
        self.errors = 0  # the last word is not delayed
        self.send(reply)
        self.closing = True
        self._write()

    def time_out(self) -> None:
        """smtpd_timeout is over."""
        where = self.incoming.described() if self.incoming is not None else self.where
        self.aborted = "timeout"
        text = f"{self.service.rules.myhostname} Error: timeout exceeded"
        self.end(refuse(421, "4.4.2", text, closes=True), lines.timeout(self.client, where))
