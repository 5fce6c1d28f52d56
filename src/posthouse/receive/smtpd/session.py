"""One SMTP session on the wire: bytes in, commands run one after the other, replies out (smtpd(8)).

A session holds no task while it waits for its client; commands that need not wait are answered in the same stack.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, cast

from posthouse.errors import TemporaryFailure
from posthouse.maillog import smtpd as lines
from posthouse.policy.request import Request
from posthouse.protocols.smtp_data import BareNewline
from posthouse.protocols.smtp_server import Reply, refusal, refuse
from posthouse.receive.smtpd.arrival import greet
from posthouse.receive.smtpd.checks import client_slots
from posthouse.receive.smtpd.content_spool import ContentSpool
from posthouse.receive.smtpd.dispatch import find_command, split_command
from posthouse.receive.smtpd.eager import Errand
from posthouse.receive.smtpd.transcript import MOST_LINES

if TYPE_CHECKING:
    from posthouse.receive.smtpd.incoming import Incoming
    from posthouse.receive.smtpd.service import SmtpdService
    from posthouse.receive.smtpd.transaction import Transaction
    from posthouse.receive.smtpd.verbs import Verb
    from posthouse.system.log import DaemonLog

BUFFER_HIGH = 262_144  # bytes of unread commands above which the peer has to wait
COMMANDS_A_TURN = 100  # then the other sessions have theirs
INTERNAL_ERROR = refuse(451, "4.3.0", "Error: queue file write error")
SYNCHRONIZATION = refuse(554, "5.5.0", "Error: SMTP protocol synchronization", closes=True)


class Session(asyncio.Protocol):
    """request is what policy sees; client is "name[address]" as the log has it; where is the last command's name."""

    __slots__ = (
        "_buffer",
        "_busy",
        "_delayed",
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
        "junk",
        "keyword_limits",
        "log",
        "may_forward",
        "noted",
        "queue_id",
        "request",
        "service",
        "slot",
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
        self.may_forward = False  # XFORWARD, by the address it really has
        self.chunk_state: str | None = None  # "open" or "failed" from the first BDAT on
        self.counts: dict[str, list[int]] = {}
        self.errors = self.junk = self.slot = 0
        self.deadline = 0.0
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
        self.request = Request("unknown")
        self.client = "unknown[unknown]"

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.service.opened(self)
        self.touch()
        self.run(greet(self, transport.get_extra_info("peername"), transport.get_extra_info("sockname")), None)

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self._buffer = self._buffer[self._position :] + data if self._buffer else data
        self._position = 0
        if not self._busy:
            self._work()
        if self._busy and len(self._buffer) - self._position > BUFFER_HIGH:
            self.pause_writing()

    def eof_received(self) -> bool:
        return self._busy  # what is under way is still answered

    def pause_writing(self) -> None:
        """The peer does not read its replies, or sends more than is being worked on: no more is read for now."""
        if not self._paused and self.transport is not None and not self.closing:
            self._paused = True
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._paused and self.transport is not None and not self.closing:
            self._paused = False
            self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        if self.closed:
            return
        self.closed = True
        if not self.closing:
            self.closing = True
            where = self.where
            if self.incoming is not None:
                where = self.incoming.described()
                self.count(self.where.lower(), good=False)
            self.aborted = "lost connection"
            self.log.info(lines.lost_connection(self.client, where))
        if not self._busy:
            self._leave()

    # -- the work

    def touch(self) -> None:
        """The client did something whole: the time limit begins anew."""
        self.deadline = self.service.loop.time() + self.service.limits.timeout

    @property
    def is_waiting_for_client(self) -> bool:
        """Whether it is the client's turn."""
        return not self._busy and not self.closing

    def has_more_input(self) -> bool:
        """Whether the client has sent more than the command at hand."""
        return self._position < len(self._buffer)

    def unread(self) -> bytes:
        """What was sent behind the command at hand."""
        return self._buffer[self._position :]

    def run(self, coroutine: Coroutine[Any, Any, Reply | None], verb: Verb | None) -> None:
        """Answer with what the coroutine returns; goes on in the background where it waits."""
        self._busy = True
        errand: Errand[Reply | None] = Errand(
            coroutine, self.service.loop, lambda reply, error: self._answered(verb, reply, error)
        )
        errand.start()

    def _answered(self, verb: Verb | None, reply: Reply | None, error: BaseException | None) -> None:
        self._busy = False
        if error is not None:
            reply = self._failed(error)
        if reply is not None:
            self.settle(verb, reply)
        if self.closed:
            self._leave()
        elif not self._working:
            self._work()

    def _work(self) -> None:
        """Commands and content, as long as there is input and nothing has to be waited for."""
        self._working = True
        turns = COMMANDS_A_TURN
        while not self._busy and not self.closing and turns:
            turns -= 1
            if self.errors >= self.service.limits.hard_errors:
                self._too_many_errors()
            elif self.incoming is not None:
                if not self._take_content(self.incoming):
                    break
            else:
                line = self._next_line()
                if line is None:
                    break
                self._command(line)
        self._working = False
        if not self._delayed:
            self._write()
        if not turns and not self._busy:
            self._busy = True
            self.service.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._busy = self._delayed = False
        if self.closed:
            self._leave()
            return
        self._write()
        if not self.closing:
            self._work()

    def _write(self) -> None:
        if self.closed or self.transport is None:
            self._out.clear()
            return
        if self._out:
            self.transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()
        if self.closing:
            self.transport.close()
        elif self._paused and not self._busy:
            self.resume_writing()

    # -- the client's words

    def _next_line(self) -> bytes | None:
        """The next command line without its line end, cut at line_length_limit; None until it is complete."""
        limit = self.service.rules.line_limit
        end = self._buffer.find(b"\n", self._position)
        if end < 0:
            if self._overlong is None and len(self._buffer) - self._position > limit:
                self._overlong = self.unread()[:limit]
            if self._overlong is not None:
                self._buffer, self._position = b"", 0
            return None
        line = self._buffer[self._position : end]
        self._position = end + 1
        if self._position == len(self._buffer):
            self._buffer, self._position = b"", 0
        if self._overlong is not None:
            line, self._overlong = self._overlong, None
        elif len(line) <= limit:
            if self.service.rules.bare_newline is BareNewline.REJECT and line[-1:] != b"\r":
                self.refuse_bare_newline()
                return None
            return line.rstrip(b"\r")
        self.log.warning(lines.long_command(self.client, limit, line[:30].decode("utf-8", "replace")))
        return line[:limit]

    def _command(self, line: bytes) -> None:
        self.touch()
        if len(self.history) > MOST_LINES:
            del self.history[: MOST_LINES // 2]
        self.history.append(line)
        word, arguments = split_command(self, line)
        found = find_command(self, word, line)
        if isinstance(found, Reply):
            self.settle(None, found)
            return
        self.where = found.word
        if self.denied is not None and found.word != "QUIT":
            self.settle(found, refuse(503, "5.7.0", f"Error: access denied for {self.client}"))
        elif self.has_more_input() and self._is_ahead(found):
            self.settle(found, SYNCHRONIZATION)
        else:
            self.run(found.answer(self, arguments), found)

    def _is_ahead(self, verb: Verb) -> bool:
        """Whether the client spoke on without awaiting a reply it has to await; True ends the session."""
        if self.noted or not (verb.ends_group or self.request.protocol_name == "SMTP") or verb.word == "QUIT":
            return False
        self.note_pipelining(verb.word)
        return self.service.rules.forbid_pipelining

    def note_pipelining(self, where: str) -> None:
        """Log it, once a session, and let reject_unauth_pipelining know."""
        self.noted = True
        self.request.pipelined_unexpectedly = True
        self.log.info(lines.improper_pipelining(self.client, where, self.unread()[:100]))

    def _take_content(self, incoming: Incoming) -> bool:
        """Feed the content that DATA or BDAT waits for; True when it is complete."""
        self.deadline = self.service.loop.time() + self.service.limits.timeout
        data, self._buffer, self._position = self.unread(), b"", 0
        rest = incoming.feed(data) if data or incoming.is_empty else None
        if rest is None:
            return False
        self._buffer = rest
        self.incoming = None
        self.run(incoming.finish(self), incoming.verb)
        return True

    # -- the books

    def settle(self, verb: Verb | None, reply: Reply) -> None:
        """Send the reply and keep the books of successes and errors."""
        bad = reply.status.code >= 400 or reply.is_error
        self.count(verb.word.lower() if verb else "unknown", good=not bad)
        self.send(reply)
        if bad:
            self.errors += 1
            self.blame(self.blamed or "protocol")
        if verb is not None and verb.is_junk:
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
        return ContentSpool(f"{rules.queue_directory}/posthouse/spool", self.queue_id, rules.size_limit)

    def forget_transaction(self) -> None:
        """After RSET, HELO, and each message."""
        if self.transaction is not None:
            self.transaction.drop()
            self.transaction = None
        self.queue_id = self.request.queue_id = ""
        self.chunk_state = None
        request = self.request
        request.sender = request.recipient = None
        request.recipient_count = request.size = 0
        request.smtputf8, request.dsn_envid, request.instance = False, "", ""

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

    def _leave(self) -> None:
        if self.incoming is not None:
            self.incoming.drop()
            self.incoming = None
        self.forget_transaction()
        self.service.left(self)
