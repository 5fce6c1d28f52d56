"""One SMTP session on the wire: bytes in, commands run one after the other, replies out (smtpd(8)).

A session holds no task while it waits for its client; commands that need not wait are answered in the same stack.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, cast

from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_data import BareNewline
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.arrival import greet
from posthouse.receive.smtpd.conversation import Conversation
from posthouse.receive.smtpd.dispatch import BAD_SYNTAX, NOT_RECOGNIZED, find_command, split_command
from posthouse.receive.smtpd.eager import Errand
from posthouse.receive.smtpd.transcript import MOST_LINES

if TYPE_CHECKING:
    from posthouse.receive.smtpd.incoming import Incoming
    from posthouse.receive.smtpd.verbs import Verb

BUFFER_HIGH = 262_144  # bytes of unread commands above which the peer has to wait
COMMANDS_A_TURN = 100  # then the other sessions have theirs
BEFORE_TLS = frozenset(("HELO", "EHLO", "NOOP", "QUIT", "STARTTLS", "XCLIENT"))
NEEDS_TLS = refuse(530, "5.7.0", "Must issue a STARTTLS command first")
SYNCHRONIZATION = refuse(554, "5.5.0", "Error: SMTP protocol synchronization", closes=True)


class Session(Conversation):
    """The wire side: what arrives is cut into commands and content, and answered in order."""

    __slots__ = ()

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
        self._ended = True
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

    def take_input(self) -> bytes:
        """The same; it is not looked at any more."""
        data, self._buffer, self._position = self.unread(), b"", 0
        return data

    def flush(self) -> None:
        """Send the replies that are ready, in the middle of a command."""
        self._write()

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
        if self.closing or (self._ended and not self._busy):
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
        if found is BAD_SYNTAX:  # not counted as a command, as in Postfix
            self.send(BAD_SYNTAX)
            self.errors += 1
            self.blame("protocol")
            return
        if isinstance(found, Reply):
            if self.denied is not None and found is NOT_RECOGNIZED:
                self.settle(None, refuse(503, "5.7.0", f"Error: access denied for {self.client}"))
            elif found is NOT_RECOGNIZED and self.milters is not None:
                self.run(self.milters.unknown(word, found), None)
            else:
                self.settle(None, found)
            return
        if self.denied is not None and found.word != "QUIT":
            self.settle(found, refuse(503, "5.7.0", f"Error: access denied for {self.client}"))
            return
        self.where = found.word
        if self.tls is None and self.service.wants_tls_first and found.word not in BEFORE_TLS:
            self.settle(found, NEEDS_TLS)
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
        data = self.take_input()
        rest = incoming.feed(data) if data or incoming.is_empty else None
        if rest is None:
            return False
        self._buffer = rest
        self.incoming = None
        self.run(incoming.finish(self), incoming.verb)
        return True

    def _leave(self) -> None:
        if self.incoming is not None:
            self.incoming.drop()
            self.incoming = None
        self.forget_transaction()
        if self.milters is not None:
            self.milters.disconnect()
        self.service.left(self)
