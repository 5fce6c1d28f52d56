"""One connection to an SMTP or LMTP server: sends bytes, waits for replies; knows nothing of what they mean."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

from posthouse.deliver.smtp.peer import Peer
from posthouse.deliver.smtp.reply_filter import ReplyFilter
from posthouse.errors import PosthouseError
from posthouse.protocols.smtp_client import Features, ReplyReader, ServerReply
from posthouse.system.tls_resumption import ResumingContext


class ConnectionLost(PosthouseError):
    """The server closed the connection, or the network did."""


class TimedOut(PosthouseError):
    """The server did not answer in time."""


class Connection(asyncio.Protocol):
    """Replies wait here until asked for. established and opened are Unix and loop times (s) of the connect."""

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: Peer) -> None:
        self.peer, self._loop = peer, loop
        self.features = Features()
        self.uses = 0
        self.tls: Any = None  # the ssl.SSLObject, once there is TLS
        self.may_resume = False  # the certificate was good enough: another connection may go on with its session
        self._context: ResumingContext | None = None
        self.is_verified = False
        self.reuses_tls = False  # whether the policy lets it be kept under TLS
        self.reply_filter: ReplyFilter | None = None
        self.tls_failed = False  # STARTTLS went wrong; the connection is of no more use
        self.opened = loop.time()
        self._reader = ReplyReader()
        self._replies: deque[ServerReply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._failure: PosthouseError | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        self._replies.extend(self._reader.feed(data))
        self._failure = self._failure or self._reader.error
        self._wake(self._waiter)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._failure = self._failure or ConnectionLost(str(exc or ""))
        self._wake(self._waiter)
        self._wake(self._drained)

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        self._wake(self._drained)
        self._drained = None

    # for the session

    @property
    def is_open(self) -> bool:
        """Open, and nothing unasked-for has arrived (a server's 421 while idle)."""
        return self._transport is not None and self._failure is None and not self._replies

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self, limit: float) -> None:
        """Wait until the peer has taken most of what was sent. Raises TimedOut, ConnectionLost."""
        if self._drained is not None:
            await self._wait(self._drained, limit)
        if self._failure:
            raise self._failure

    async def reply(self, limit: float) -> ServerReply:
        """The next reply. Raises ConnectionLost, TimedOut, ProtocolError."""
        while not self._replies:
            if self._failure:
                raise self._failure
            self._waiter = self._loop.create_future()
            await self._wait(self._waiter, limit)
        reply = self._replies.popleft()
        return reply if self.reply_filter is None else self.reply_filter.apply(self.peer, reply)

    async def start_tls(self, context: ResumingContext, server_name: str, limit: float) -> None:
        """Encrypt from here on. What had arrived unasked-for is thrown away: it was not protected. Raises OSError."""
        if self._transport is None:
            raise ConnectionResetError("connection lost")
        self._replies.clear()
        self._reader, self._failure = ReplyReader(), None
        try:
            async with asyncio.timeout(limit):
                transport = await self._loop.start_tls(
                    self._transport, self, context, server_hostname=server_name or None, ssl_handshake_timeout=limit
                )
        except OSError:
            context.forget()
            raise
        if transport is None:
            raise ConnectionResetError("connection lost")
        self._transport = transport
        self.tls = transport.get_extra_info("ssl_object")
        self._context = context

    def close(self) -> None:
        if self._context is not None and self.may_resume:  # servers send tickets after the handshake
            self._context.remember(self.tls)
        self._context = None
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _wake(self, waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self, waiter: asyncio.Future[None], limit: float) -> None:
        timer = self._loop.call_later(limit, self._expire, waiter)
        try:
            await waiter
        finally:
            timer.cancel()

    def _expire(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_exception(TimedOut("timed out"))


async def connect(peer: Peer, limit: float, bind_address: str = "") -> Connection:
    """A connection to the peer. Raises OSError (TimeoutError among them). limit in seconds, 0 for the system's own."""
    loop = asyncio.get_running_loop()

    def made() -> Connection:
        return Connection(loop, peer)

    async with asyncio.timeout(limit or None):
        if peer.path:
            _, connection = await loop.create_unix_connection(made, peer.path)
        else:
            local = (bind_address, 0) if bind_address else None
            _, connection = await loop.create_connection(made, peer.address, peer.port, local_addr=local)
    return connection
