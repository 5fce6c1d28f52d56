"""spamd and clamd over the network: several of each, asked in turn; one that fails again and again is let rest, and is
asked whether it is well before it gets mail again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from posthouse.errors import PosthouseError, ProtocolError
from posthouse.filters.scanner.rules import BackendRules

T = TypeVar("T")
Warn = Callable[[str], None]
Clock = Callable[[], float]

CONNECT_LIMIT_S = 10.0
PROBE_LIMIT_S = 5.0
_FAILURES = (OSError, ProtocolError, TimeoutError, ValueError)


class AllDown(PosthouseError):
    """No back end of a kind could answer; the text says what the last one did."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How a daemon is asked whether it is well: what is said, and check, which raises ProtocolError."""

    said: bytes
    check: Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a message: pieces() gives it anew each time; most is how many bytes an answer may have."""

    pieces: Callable[[], Iterable[bytes]]
    most: int


@dataclass(slots=True)
class Backend:
    """One daemon: "host:port", "inet:host:port", "unix:/path" or a path. rests_until is 0.0 while it works."""

    address: str
    failures: int = 0
    rests_until: float = 0.0
    is_probed: bool = field(default=False)

    async def connect(self) -> socket.socket:
        """A connected socket. Raises OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_LIMIT_S):
            kind, _, rest = self.address.partition(":")
            if kind in ("unix", "local") or self.address.startswith("/"):
                path = self.address if self.address.startswith("/") else rest
                return await _connected(socket.AF_UNIX, path)
            host, _, port = (rest if kind == "inet" else self.address).rpartition(":")
            found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
            for number, (family, _, _, _, address) in enumerate(found):
                try:
                    return await _connected(family, address)
                except OSError:
                    if number == len(found) - 1:
                        raise
        raise OSError("no address")


async def _connected(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


class Group:
    """The back ends of one kind."""

    def __init__(self, name: str, rules: BackendRules, probe: Probe, warn: Warn, clock: Clock = time.monotonic) -> None:
        self.name, self._rules, self._probe, self._warn, self._clock = name, rules, probe, warn, clock
        self.backends = [Backend(address) for address in rules.addresses]

    async def ask(self, question: Question, parse: Callable[[bytes], T]) -> T:
        """What the first back end that works answers. Raises AllDown, and what parse raises about the message."""
        trouble = "all of them rest after failures"
        for backend in self.backends:
            try:
                if not await self._is_well(backend):
                    continue
                answer = parse(await self._talk(backend, question.pieces(), question.most, self._rules.limit))
            except _FAILURES as error:
                trouble = f"{backend.address}: {_words(error)}"
                self._failed(backend, trouble)
            else:
                self._worked(backend)
                return answer
        raise AllDown(f"{self.name}: {trouble}")

    async def _is_well(self, backend: Backend) -> bool:
        """Whether it may be asked: one that has rested long enough is probed, by one message at a time."""
        if not backend.rests_until:
            return True
        if self._clock() < backend.rests_until or backend.is_probed:
            return False
        backend.is_probed = True
        try:
            self._probe.check(await self._talk(backend, [self._probe.said], 1000, PROBE_LIMIT_S))
        finally:
            backend.is_probed = False
        self._warn(f"{self.name} {backend.address} answers again")
        backend.rests_until, backend.failures = 0.0, 0
        return True

    def _worked(self, backend: Backend) -> None:
        backend.failures, backend.rests_until = 0, 0.0

    def _failed(self, backend: Backend, trouble: str) -> None:
        self._warn(f"{self.name} {trouble}")
        backend.failures += 1
        if backend.failures >= self._rules.failures:
            backend.rests_until = self._clock() + self._rules.rest
            self._warn(f"{self.name} {backend.address} rests for {self._rules.rest:g} s")

    async def _talk(self, backend: Backend, pieces: Iterable[bytes], most: int, limit: float) -> bytes:
        """Send the pieces, close our half, and read all that comes back, at most so many bytes.

        By the socket itself: a daemon may answer and hang up before it has read all, and that answer is wanted.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(limit):
            sock = await backend.connect()
            try:
                with contextlib.suppress(ConnectionError):
                    for piece in pieces:
                        await loop.sock_sendall(sock, piece)
                    sock.shutdown(socket.SHUT_WR)
                return await _read(sock, most)
            finally:
                sock.close()


async def _read(sock: socket.socket, most: int) -> bytes:
    """All until the end, which may be a reset behind the answer."""
    loop, data = asyncio.get_running_loop(), b""
    try:
        while len(data) < most and (more := await loop.sock_recv(sock, most - len(data))):
            data += more
    except ConnectionError:
        if not data:
            raise
    return data


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
