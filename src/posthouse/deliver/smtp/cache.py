"""Connections that may be used again, kept open where more mail for the destination is likely (scache(8))."""

from __future__ import annotations

import asyncio

from posthouse.deliver.smtp.connection import Connection

_MANY = 10  # deliveries within about a second
_MOST_DESTINATIONS = 1000


class ConnectionCache:
    """Open connections by destination. idle and lifetime in seconds; uses bounds deliveries (0: no limit)."""

    def __init__(self, idle: float, lifetime: float, uses: int) -> None:
        self._idle, self._lifetime, self._uses = idle, lifetime, uses
        self._kept: dict[str, list[tuple[Connection, asyncio.TimerHandle]]] = {}
        self._demand: dict[str, tuple[float, float]] = {}

    def is_in_demand(self, destination: str) -> bool:
        """Count a delivery; whether there are so many a second that the next one is due at any moment."""
        now = asyncio.get_running_loop().time()
        last, score = self._demand.get(destination, (now, 0.0))
        score = score * max(0.0, 1.0 - (now - last)) + 1.0
        if len(self._demand) >= _MOST_DESTINATIONS:
            self._demand.clear()
        self._demand[destination] = (now, score)
        return score >= _MANY

    def take(self, destination: str) -> Connection | None:
        """A connection that is still good, or None."""
        kept = self._kept.get(destination, [])
        while kept:
            connection, timer = kept.pop()
            timer.cancel()
            if connection.is_open:
                return connection
            connection.close()
        self._kept.pop(destination, None)
        return None

    def keep(self, destination: str, connection: Connection) -> bool:
        """Whether the connection was kept; otherwise the caller says QUIT."""
        loop = asyncio.get_running_loop()
        too_old = loop.time() - connection.opened >= self._lifetime
        if not connection.is_open or too_old or (self._uses and connection.uses >= self._uses):
            return False
        timer = loop.call_later(self._idle, self._expire, destination, connection)
        self._kept.setdefault(destination, []).append((connection, timer))
        return True

    def _expire(self, destination: str, connection: Connection) -> None:
        kept = self._kept.get(destination, [])
        kept[:] = [pair for pair in kept if pair[0] is not connection]
        if not kept:
            self._kept.pop(destination, None)
        goodbye(connection)

    def close(self) -> None:
        for kept in self._kept.values():
            for connection, timer in kept:
                timer.cancel()
                goodbye(connection)
        self._kept.clear()


def goodbye(connection: Connection) -> None:
    """QUIT without waiting for the answer (smtp_skip_quit_response)."""
    connection.send(b"QUIT\r\n")
    connection.close()
