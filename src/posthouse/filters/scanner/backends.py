"""spamd and clamd over the network: several of each, asked in turn, and none asked again right after it failed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from posthouse.errors import PosthouseError, ProtocolError

T = TypeVar("T")

COOL_DOWN_S = 30.0
FAILURES_BEFORE_REST = 3


class AllDown(PosthouseError):
    """No back end of a kind could answer; the text says what the last one did."""


@dataclass(slots=True)
class Backend:
    """One daemon: "host:port", "inet:host:port" or "unix:/path". It rests for a while after several failures."""

    address: str
    failures: int = 0
    rests_until: float = 0.0

    def is_resting(self, now: float) -> bool:
        return now < self.rests_until

    def note(self, *, worked: bool, now: float) -> bool:
        """Whether this failure sends it to rest."""
        self.failures = 0 if worked else self.failures + 1
        if self.failures < FAILURES_BEFORE_REST:
            return False
        self.rests_until = now + COOL_DOWN_S
        return self.failures == FAILURES_BEFORE_REST

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        kind, _, rest = self.address.partition(":")
        if kind == "unix":
            return await asyncio.open_unix_connection(rest)
        host, _, port = (rest if kind == "inet" else self.address).rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port))


class Group:
    """The back ends of one kind, asked in turn. limit: seconds for one answer; most: bytes of it; warn: for the log."""

    def __init__(self, name: str, addresses: Iterable[str], limit: float, warn: Callable[[str], None]) -> None:
        self.name, self._limit, self._warn = name, limit, warn
        self.backends = [Backend(address) for address in addresses]

    async def ask(self, pieces: Callable[[], Iterable[bytes]], most: int, parse: Callable[[bytes], T]) -> T:
        """What the first back end that works answers. Raises AllDown."""
        trouble = "all of them rest after failures"
        for backend in self.backends:
            if backend.is_resting(time.monotonic()):
                continue
            try:
                answer = parse(await self._talk(backend, pieces(), most))
            except (OSError, ProtocolError, TimeoutError, ValueError) as error:
                trouble = f"{backend.address}: {error or 'no answer in time'}"
                self._warn(f"{self.name} {trouble}")
                if backend.note(worked=False, now=time.monotonic()):
                    self._warn(f"{self.name} {backend.address} rests for {COOL_DOWN_S:.0f} s")
            else:
                backend.note(worked=True, now=time.monotonic())
                return answer
        raise AllDown(f"{self.name}: {trouble}")

    async def _talk(self, backend: Backend, pieces: Iterable[bytes], most: int) -> bytes:
        """Send the pieces, close our half, and read all that comes back, at most so many bytes."""
        async with asyncio.timeout(self._limit):
            reader, writer = await backend.connect()
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()
                data = b""
                while len(data) < most and (more := await reader.read(most - len(data))):
                    data += more
                return data
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
