"""Counts client connections and requests, and logs the peaks (anvil(8)). One per worker: exact within it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from posthouse.maillog import anvil as lines
from posthouse.system.log import DaemonLog

Key = tuple[str, str]


class Event(IntEnum):
    """What is counted per time unit."""

    CONNECTION = 0
    MESSAGE = 1
    RECIPIENT = 2
    NEW_TLS_SESSION = 3
    AUTHENTICATION = 4


@dataclass(slots=True)
class _Client:
    open: int = 0
    began: float = 0.0
    rates: list[int] = field(default_factory=lambda: [0] * len(Event))


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest value since the last status lines."""

    value: int
    service: str
    address: str
    when: float


class Anvil:
    """Counts by service and client address. unit is anvil_rate_time_unit, interval anvil_status_update_time (s).

    A client's rates begin anew when the first event of its time unit is that old, as in Postfix.
    """

    def __init__(
        self, log: DaemonLog, unit: float = 60.0, interval: float = 600.0, now: Callable[[], float] = time.time
    ) -> None:
        self._log, self._unit, self._interval, self._now = log, unit, interval, now
        self._clients: dict[Key, _Client] = {}
        self._peaks: dict[str, Peak] = {}
        self._largest = 0
        self._largest_when = self._next_tidy = self._reported = now()

    def connect(self, service: str, address: str) -> tuple[int, int]:
        """(open connections, connections per time unit), this one included."""
        client, now = self._client(service, address)
        client.open += 1
        client.rates[Event.CONNECTION] += 1
        rate = client.rates[Event.CONNECTION]
        self._note("connection count", client.open, service, address, now)
        self._note("connection rate", rate, service, address, now)
        return client.open, rate

    def disconnect(self, service: str, address: str) -> None:
        """A connection that connect() has counted is over."""
        client = self._clients.get((service, address))
        if client is not None and client.open:
            client.open -= 1

    def message(self, service: str, address: str) -> int:
        """MAIL FROM."""
        return self._count(Event.MESSAGE, "message rate", service, address)

    def recipient(self, service: str, address: str) -> int:
        """RCPT TO."""
        return self._count(Event.RECIPIENT, "recipient rate", service, address)

    def new_tls_session(self, service: str, address: str) -> int:
        """A TLS handshake that resumed nothing."""
        return self._count(Event.NEW_TLS_SESSION, "newtls rate", service, address)

    def authentication(self, service: str, address: str) -> int:
        """AUTH."""
        return self._count(Event.AUTHENTICATION, "auth rate", service, address)

    def report(self) -> None:
        """Log the peaks, and begin anew (at the end, and every interval)."""
        for what, peak in self._peaks.items():
            rate = what != "connection count"
            shown_unit = f"{peak.value}/{int(self._unit)}s" if rate else str(peak.value)
            self._log.info(lines.peak(what, shown_unit, peak.service, peak.address, peak.when))
        if self._largest:
            self._log.info(lines.cache_size(self._largest, self._largest_when))
        self._peaks.clear()
        self._largest, self._reported = 0, self._now()

    def _count(self, event: Event, what: str, service: str, address: str) -> int:
        client, now = self._client(service, address)
        client.rates[event] += 1
        self._note(what, client.rates[event], service, address, now)
        return client.rates[event]

    def _client(self, service: str, address: str) -> tuple[_Client, float]:
        now = self._now()
        if now >= self._next_tidy:
            self._tidy(now)
        client = self._clients.get((service, address))
        if client is None:
            client = self._clients[service, address] = _Client(began=now)
            if len(self._clients) > self._largest:
                self._largest, self._largest_when = len(self._clients), now
        elif now - client.began > self._unit:
            client.began, client.rates = now, [0] * len(Event)
        return client, now

    def _note(self, what: str, value: int, service: str, address: str, now: float) -> None:
        peak = self._peaks.get(what)
        if peak is None or value > peak.value:
            self._peaks[what] = Peak(value, service, address, now)

    def _tidy(self, now: float) -> None:
        """Forget clients that are gone, so that the table stays as small as the traffic."""
        self._next_tidy = now + self._unit
        gone = [key for key, client in self._clients.items() if not client.open and now - client.began > self._unit]
        for key in gone:
            del self._clients[key]
        if now - self._reported >= self._interval:
            self.report()
