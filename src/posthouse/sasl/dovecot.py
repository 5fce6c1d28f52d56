"""smtpd_sasl_type = dovecot: asks Dovecot's auth server over one connection, many logins at a time (SASL_README)."""

from __future__ import annotations

import asyncio
import os
from typing import cast

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed, ProtocolError
from posthouse.protocols import dovecot_auth as wire
from posthouse.services.login import Answer, Challenge, Denied, Granted, LoginPeer, Offer, Unavailable

CONNECT_LIMIT_S = 10.0
ANSWER_LIMIT_S = 30.0  # Dovecot answers failures late on purpose
LOST = "Connection lost to authentication server"
INVALID_MECHANISM = "Invalid authentication mechanism"
_LAST_NUMBER = 2**31 - 1


def open_service(settings: Settings) -> DovecotAuth:
    """For smtpd_sasl_path: a socket in the queue directory, or inet:host:port."""
    path = settings.text("smtpd_sasl_path")
    return DovecotAuth(path, settings.text("queue_directory"), settings.text("smtpd_sasl_service"))


class DovecotAuth:
    """The way to one auth server. It is opened when it is needed, and again after Dovecot was restarted."""

    def __init__(self, path: str, queue_directory: str, service: str) -> None:
        self._path, self._queue_directory, self._service = path, queue_directory, service
        self._wire: _Wire | None = None
        self._opening: asyncio.Lock | None = None

    async def offers(self) -> tuple[Offer, ...]:
        """As the server said at the start of the connection. Raises LookupFailed where there is none."""
        return (await self._connected()).offers

    def dialogue(self, peer: LoginPeer) -> DovecotDialogue:
        """For one AUTH command."""
        fields = [f"service={self._service}", "nologin", f"lip={peer.server_address}", f"rip={peer.client_address}"]
        if peer.is_secured:
            fields.append("secured")
        if peer.has_trusted_certificate:
            fields.append("valid-client-cert")
        return DovecotDialogue(self, fields)

    async def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def connected(self) -> _Wire:
        """For dialogues: the connection. Raises LookupFailed."""
        return await self._connected()

    async def _connected(self) -> _Wire:
        if self._wire is not None and self._wire.is_open:
            return self._wire
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._wire is None or not self._wire.is_open:
                self._wire = await self._connect()
        return self._wire

    async def _connect(self) -> _Wire:
        loop, made = asyncio.get_running_loop(), _Wire()
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                if self._path.startswith("inet:"):
                    host, _, port = self._path.removeprefix("inet:").rpartition(":")
                    await loop.create_connection(lambda: made, host.strip("[]") or "localhost", int(port))
                else:
                    path = os.path.join(self._queue_directory, self._path.removeprefix("unix:"))
                    await loop.create_unix_connection(lambda: made, path)
                await made.greeted
        except (OSError, TimeoutError, ProtocolError, ValueError) as error:
            made.close()
            reason = getattr(error, "strerror", "") or str(error) or "Connection timed out"
            text = f"SASL: Connect to Dovecot auth socket '{self._path}' failed: {reason}"
            raise LookupFailed(text) from error
        return made


class DovecotDialogue:
    """One login over the shared connection."""

    def __init__(self, service: DovecotAuth, fields: list[str]) -> None:
        self._service, self._fields = service, fields
        self._wire: _Wire | None = None
        self._number = 0

    async def begin(self, mechanism: str, initial: bytes | None) -> Answer:
        answer = await self._begin(mechanism, initial)
        # The connection was that of a Dovecot which has ended since: its successor is asked.
        return await self._begin(mechanism, initial) if answer == Unavailable(LOST) else answer

    async def _begin(self, mechanism: str, initial: bytes | None) -> Answer:
        try:
            connection = await self._service.connected()
        except LookupFailed as error:
            return Unavailable(str(error))
        if mechanism.upper() not in {offer.name.upper() for offer in connection.offers}:
            return Denied(INVALID_MECHANISM)
        self._wire, self._number = connection, connection.next_number()
        return await self._ask(wire.auth(self._number, mechanism, self._fields, initial))

    async def go_on(self, response: bytes) -> Answer:
        return await self._ask(wire.cont(self._number, response))

    def abandon(self) -> None:
        """Not said to the server: some versions take an unknown word for an error; it forgets by itself."""

    async def _ask(self, line: bytes) -> Answer:
        if self._wire is None or not self._wire.is_open:
            return Unavailable(LOST)
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                reply = await self._wire.ask(self._number, line)
        except TimeoutError:
            return Unavailable("Authentication server does not answer")
        match reply:
            case wire.Ok(_, user):
                return Granted(user)
            case wire.Cont(_, data):
                return Challenge(data)
            case wire.Fail(_, user, reason, _):
                return Denied(reason, user)
            case None:
                return Unavailable(LOST)


class _Wire(asyncio.Protocol):
    """The connection: lines in, and who waits for them."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self._greeting = wire.Greeting()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._waiting: dict[int, asyncio.Future[wire.Reply | None]] = {}
        self._number = 0
        self.offers: tuple[Offer, ...] = ()
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self.is_open = True
        self._transport.write(wire.opening(os.getpid()))

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > wire.LINE_LIMIT:
            self.close()
            return
        try:
            for line in lines:
                self._take(line.decode("utf-8", "surrogateescape"))
        except ProtocolError as error:
            if not self.greeted.done():
                self.greeted.set_exception(error)
            self.close()

    def _take(self, line: str) -> None:
        if not self._greeting.is_complete:
            self._greeting.take(line)
            if self._greeting.is_complete and not self.greeted.done():
                self.offers = tuple(Offer(found.name, found.properties) for found in self._greeting.mechanisms)
                self.greeted.set_result(None)
            return
        reply = wire.parse_reply(line)
        waiting = None if reply is None else self._waiting.pop(reply.number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.is_open = False
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionResetError(LOST))
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    def next_number(self) -> int:
        self._number = self._number % _LAST_NUMBER + 1
        return self._number

    async def ask(self, number: int, line: bytes) -> wire.Reply | None:
        """Send a line and await what is said about that login; None where the connection broke."""
        if self._transport is None or not self.is_open:
            return None
        waiting = self._waiting[number] = self._loop.create_future()
        self._transport.write(line)
        try:
            reply: wire.Reply | None = await waiting
        finally:
            self._waiting.pop(number, None)
        return reply

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.close()
