"""A connection to a table server that is kept between lookups: what tcp: and socketmap: share.

Services ask without blocking (asyncio); commands ask with plain sockets. A connection that broke while it was idle is
made anew once.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from posthouse.errors import LookupFailed
from posthouse.lookup import notices
from posthouse.lookup.table import BadTable, Options, Table, is_utf8

ANSWER_LIMIT = 100_000  # bytes of one answer
TIMEOUT_S = 100.0


class Broken(Exception):
    """The server went away, or does not follow the protocol; str() says what is wrong."""


class Dialogue(Protocol):
    """What is spoken over the connection: one request, and when its answer is complete."""

    def request(self, key: str) -> bytes: ...

    def end_of_answer(self, received: bytes) -> int:
        """Where the answer ends in what came so far; -1: more must come. Broken where it cannot be one."""
        ...

    def value(self, answer: bytes) -> str | None:
        """What the answer says. Raises LookupFailed or Broken."""
        ...


def parse_endpoint(text: str) -> tuple[str, int] | str:
    """inet:host:port or unix:path, or host:port: (host, port) or the path. BadTable where it is neither."""
    if text.startswith("unix:"):
        return text[5:]
    host, colon, port = text.removeprefix("inet:").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host:
        raise BadTable(f"{text}: garbage after numerical service" if text[:1].isdigit() else f"bad server: {text}")
    if port.isdigit():
        return host, int(port)
    try:
        return host, socket.getservbyname(port, "tcp")
    except OSError:
        raise BadTable(f"unknown service: {port}/tcp") from None


class ServerTable(Table):
    """A table that a server answers for, one question at a time over one connection."""

    blocking = True
    folding = False

    def __init__(self, endpoint: tuple[str, int] | str, dialogue: Dialogue, options: Options, server: str) -> None:
        """Server is how the server is called in warnings ("TCP map 127.0.0.1:7000")."""
        super().__init__(options)
        self._endpoint, self._dialogue, self._server = endpoint, dialogue, server
        self._socket: socket.socket | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    # -- commands: plain sockets

    def get(self, key: str) -> str | None:
        return self._ask(lambda: self._exchange(self._dialogue.request(key)), self._close)

    def _ask(self, exchange: Callable[[], bytes], close: Callable[[], None]) -> str | None:
        for attempt in (1, 2):
            fresh = self._socket is None
            try:
                return self._dialogue.value(exchange())
            except (OSError, Broken) as problem:
                close()
                if fresh or attempt == 2:
                    raise self._failed(problem) from None
        raise AssertionError

    def _exchange(self, request: bytes) -> bytes:
        if self._socket is None:
            kind = socket.AF_UNIX if isinstance(self._endpoint, str) else socket.AF_INET
            if isinstance(self._endpoint, str):
                self._socket = socket.socket(kind, socket.SOCK_STREAM)
                self._socket.settimeout(TIMEOUT_S)
                self._socket.connect(self._endpoint)
            else:
                self._socket = socket.create_connection(self._endpoint, TIMEOUT_S)
        self._socket.sendall(request)
        received = b""
        while (end := self._dialogue.end_of_answer(received)) < 0:
            piece = self._socket.recv(8192)
            if not piece:
                raise Broken("connection lost")
            received += piece
            if len(received) > ANSWER_LIMIT:
                raise Broken("the answer is too long")
        return received[:end]

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- services: asyncio

    async def find(self, key: str) -> str | None:
        if not key or (self._utf8 and not key.isascii() and not is_utf8(key)):
            return None
        request = self._dialogue.request(key)
        async with self._turn():
            for attempt in (1, 2):
                fresh = self._streams is None
                try:
                    async with asyncio.timeout(TIMEOUT_S):
                        return self._dialogue.value(await self._exchange_stream(request))
                except (OSError, Broken, TimeoutError) as problem:
                    self._drop_streams()
                    if fresh or attempt == 2 or isinstance(problem, TimeoutError):
                        raise self._failed(problem) from None
                except asyncio.CancelledError:
                    self._drop_streams()  # its answer would come for the next question
                    raise
        raise AssertionError

    def _turn(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock, self._streams = (loop, asyncio.Lock()), None
        return self._lock[1]

    async def _exchange_stream(self, request: bytes) -> bytes:
        if self._streams is None:
            opening: Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]
            if isinstance(self._endpoint, str):
                opening = asyncio.open_unix_connection(self._endpoint)
            else:
                opening = asyncio.open_connection(*self._endpoint)
            self._streams = await opening
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        received = b""
        while (end := self._dialogue.end_of_answer(received)) < 0:
            piece = await reader.read(8192)
            if not piece:
                raise Broken("connection lost")
            received += piece
            if len(received) > ANSWER_LIMIT:
                raise Broken("the answer is too long")
        return received[:end]

    def _drop_streams(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    def _failed(self, problem: Exception) -> LookupFailed:
        if isinstance(problem, OSError) and not isinstance(problem, TimeoutError):
            text = os.strerror(problem.errno) if problem.errno else str(problem)
            notices.warn(f"connect to {self._server}: {text}")
        elif isinstance(problem, Broken):
            text = str(problem)
            notices.warn(f"read {self._server}: {text}")
        else:
            text = "Connection timed out"
            notices.warn(f"read {self._server}: {text}")
        return LookupFailed(self.spec, text)
