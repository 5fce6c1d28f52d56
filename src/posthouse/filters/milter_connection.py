"""The connection to a milter: opening it, and packets in and out within their time limits (MILTER_README)."""

from __future__ import annotations

import asyncio
import os
from collections import deque

from posthouse.errors import ProtocolError
from posthouse.filters.milter_settings import MilterRule
from posthouse.maillog import milter as lines
from posthouse.protocols import milter as grammar
from posthouse.protocols.milter import Negotiated
from posthouse.system.log import DaemonLog

END = "Application error"  # what Postfix calls a connection that ended


def reason_of(problem: Exception) -> str:
    """What went wrong, for the log."""
    if isinstance(problem, EOFError):
        return END
    if isinstance(problem, TimeoutError) and not problem.errno:
        return "Connection timed out"
    if isinstance(problem, OSError) and problem.errno:
        return os.strerror(problem.errno) if problem.errno > 0 else problem.strerror or END
    return str(problem) or END


class MilterConnection:
    """Reading raises EOFError where the milter has hung up, TimeoutError, OSError, and ProtocolError for garbage."""

    __slots__ = ("_packets", "_reader", "_rule", "_streams")

    def __init__(self, rule: MilterRule) -> None:
        self._rule = rule
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._reader = grammar.PacketReader()
        self._packets: deque[tuple[bytes, bytes]] = deque()

    async def open(self, log: DaemonLog) -> Negotiated | None:
        """Connect, and agree on the protocol; None where that fails, and the log has the reason."""
        rule = self._rule
        try:
            async with asyncio.timeout(rule.connect_timeout):
                if isinstance(rule.endpoint, str):
                    self._streams = await asyncio.open_unix_connection(rule.endpoint)
                else:
                    self._streams = await asyncio.open_connection(*rule.endpoint)
        except (OSError, TimeoutError) as problem:
            log.warning(lines.cannot_connect(rule.name, reason_of(problem)))
            return None
        try:
            self.write(grammar.offer(rule.version))
            letter, data = await self.next_packet(rule.connect_timeout)
            agreed = grammar.read_negotiation(letter, data, rule.version)
        except (OSError, ProtocolError, EOFError, TimeoutError) as problem:
            if isinstance(problem, ProtocolError):
                log.warning(lines.problem(rule.name, str(problem)))
            if not isinstance(problem, ProtocolError) or str(problem).startswith("unreasonable"):
                log.warning(lines.problem(rule.name, "read error in initial handshake"))
            return None
        return Negotiated(agreed.version, agreed.actions, agreed.steps | rule.unheard, agreed.symbols)

    def write(self, data: bytes) -> None:
        """Send; what the milter does not read yet waits (see drain)."""
        if self._streams is not None:
            self._streams[1].write(data)

    async def next_packet(self, limit: float) -> tuple[bytes, bytes]:
        """(letter, data), within limit (s)."""
        if self._packets:
            return self._packets.popleft()
        if self._streams is None:
            raise EOFError
        async with asyncio.timeout(limit):
            while not self._packets:
                data = await self._streams[0].read(65_536)
                if not data:
                    raise EOFError
                self._packets.extend(self._reader.feed(data))
        return self._packets.popleft()

    async def drain(self, limit: float) -> None:
        """Milters that do not answer to the body must not make us keep it in memory; limit in s."""
        if self._streams is not None:
            try:
                async with asyncio.timeout(limit):
                    await self._streams[1].drain()
            except (OSError, TimeoutError):
                self._streams[1].close()  # the next answer tells

    def close(self) -> None:
        """No more is said."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
        self._packets.clear()
