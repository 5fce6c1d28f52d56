"""AUTH: a client says who it is (RFC 4954; SASL_README)."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from posthouse.errors import LookupFailed
from posthouse.mail.status import Status
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_server import Reply, ok, refuse
from posthouse.receive.smtpd.dispatch import REDACTED
from posthouse.services.login import Answer, Challenge, Denied, Granted, LoginDialogue, Unavailable

if TYPE_CHECKING:
    from posthouse.receive.smtpd.logins import Logins
    from posthouse.receive.smtpd.session import Session
    from posthouse.receive.smtpd.verbs import Verb

_NEED_HELO = refuse(503, "5.5.1", "Error: send HELO/EHLO first")
_NOT_ENABLED = refuse(503, "5.5.1", "Error: authentication not enabled")
_IN_TRANSACTION = refuse(503, "5.5.1", "Error: MAIL transaction in progress")
_ALREADY = refuse(503, "5.5.1", "Error: already authenticated")
_SYNTAX = refuse(501, "5.5.4", "Syntax: AUTH mechanism")
_ABORTED = refuse(501, "5.7.0", "Authentication aborted")
_TOO_LONG = refuse(500, "5.5.6", "SASL response limit exceeded")
_SUCCESS = ok("Authentication successful", "2.7.0", 235)
# In these words the log's line is none of those for which fail2ban's stock filter shuts clients out.
LOST = "Connection lost to authentication server"
_NOBODY_KNOWS = refuse(454, "4.7.0", f"Temporary authentication failure: {LOST}")
INVALID_MECHANISM = "Invalid authentication mechanism"


async def answer(session: Session, arguments: str) -> Reply | None:
    words = arguments.split()
    if len(words) > 1 and session.history:
        session.history[-1] = b"AUTH " + words[0].encode("utf-8", "surrogateescape") + b" " + REDACTED
    refused = _out_of_turn(session)
    logins = session.service.logins
    if refused is not None or logins is None:
        return refused or _NOT_ENABLED
    if len(words) not in (1, 2):
        return _SYNTAX
    refused = session.service.clients.authentication(session)
    if refused is not None:
        return refused
    return await Attempt(session, logins, words[0]).begin(words[1] if len(words) == 2 else None)


def _out_of_turn(session: Session) -> Reply | None:
    if session.request.helo_name is None and session.service.rules.helo_required:
        return _NEED_HELO
    logins = session.service.logins
    if logins is None or not logins.is_open_to(session):
        return _NOT_ENABLED
    if session.transaction is not None:
        return _IN_TRANSACTION
    return _ALREADY if session.request.sasl_username else None


class Attempt:
    """One AUTH command, over as many lines as its mechanism needs."""

    __slots__ = ("_dialogue", "_logins", "_mechanism", "_session")

    def __init__(self, session: Session, logins: Logins, mechanism: str) -> None:
        self._session, self._logins, self._mechanism = session, logins, mechanism
        self._dialogue: LoginDialogue | None = None

    async def begin(self, initial: str | None) -> Reply | None:
        """Initial is base64, "=" for empty, None for nothing."""
        response = None if initial is None else decoded("" if initial == "=" else initial)
        try:
            allowed = await self._logins.is_allowed(self._session, self._mechanism)
        except LookupFailed as failed:
            return await self._conclude(Unavailable(str(failed)))
        if not allowed:
            return await self._conclude(Denied(INVALID_MECHANISM))
        if initial is not None and response is None:
            return await self._conclude(Denied("Invalid base64 data in initial response"))
        dialogue = self._dialogue = self._logins.dialogue(self._session)
        return await self._conclude(
            await self._logins.check(self._session, lambda: dialogue.begin(self._mechanism, response))
        )

    async def go_on(self, line: bytes | None) -> Reply | None:
        """The client's answer to a challenge, without its line end; None for one that is too long."""
        if self._dialogue is None:
            raise RuntimeError("an answer without a question")
        if line is None or line == b"*":
            self._dialogue.abandon()
            return self._aborted(is_too_long=line is None)
        response = b"" if line == b"=" else decoded(line.decode("utf-8", "surrogateescape"))
        if response is None:
            self._dialogue.abandon()
            return await self._conclude(Denied("Invalid base64 data in continued response"))
        dialogue = self._dialogue
        return await self._conclude(await self._logins.check(self._session, lambda: dialogue.go_on(response)))

    async def _conclude(self, found: Answer) -> Reply | None:
        session = self._session
        match found:
            case Challenge(data):
                session.send(Reply(Status("", 334, base64.b64encode(data).decode())))
                session.incoming = ResponseLine(session.service.verbs["AUTH"], self, self._logins.response_limit)
                return None
            case Granted(user):
                session.request.sasl_method, session.request.sasl_username = self._mechanism, lines.printable(user)
                self._logins.succeeded(session)
                return _SUCCESS
            case Unavailable(reason):
                if reason != LOST:
                    session.log.warning(lines.login_unanswered(session.client, self._mechanism, reason))
                session.log.warning(lines.login_failed(session.client, self._mechanism, LOST, session.last_login))
                return _NOBODY_KNOWS
            case Denied(reason, user):
                return await self._denied(reason or "(reason unavailable)", user)

    async def _denied(self, reason: str, user: str) -> Reply:
        session = self._session
        session.last_login = user or session.last_login
        session.log.warning(lines.login_failed(session.client, self._mechanism, reason, session.last_login))
        delay = self._logins.delay_after_failure(session)
        if delay:
            await asyncio.sleep(delay)
        return refuse(535, "5.7.8", f"Error: authentication failed: {lines.printable(reason)}")

    def _aborted(self, *, is_too_long: bool) -> Reply:
        session = self._session
        if is_too_long:
            session.log.warning(lines.long_command(session.client, self._logins.response_limit, REDACTED.decode()))
            return _TOO_LONG
        session.log.warning(lines.login_aborted(session.client, self._mechanism))
        return _ABORTED


class ResponseLine:
    """The line that a challenge waits for (an Incoming of the session)."""

    __slots__ = ("_attempt", "_held", "_is_long", "_limit", "_line", "verb")

    def __init__(self, verb: Verb, attempt: Attempt, limit: int) -> None:
        self.verb, self._attempt, self._limit = verb, attempt, limit
        self._held, self._line = b"", b""
        self._is_long = False

    @property
    def is_empty(self) -> bool:
        return False

    def feed(self, data: bytes) -> bytes | None:
        """Bounded: what is beyond the limit is read and forgotten."""
        line, end, rest = data.partition(b"\n")
        self._held += line
        if len(self._held) > self._limit:
            self._is_long, self._held = True, b""
        if not end:
            return None
        self._line = self._held.rstrip(b"\r")
        return rest

    def finish(self, session: Session) -> Coroutine[Any, Any, Reply | None]:  # noqa: ARG002
        return self._attempt.go_on(None if self._is_long else self._line)

    def described(self) -> str:
        return "AUTH"

    def drop(self) -> None:
        """Nothing is held here."""


def decoded(text: str) -> bytes | None:
    """Base64 as AUTH has it; None where it is none."""
    if len(text) % 4:  # Python does not mind too much padding
        return None
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
