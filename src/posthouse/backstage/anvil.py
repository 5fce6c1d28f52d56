"""Counts client connections and requests, and logs the peaks (anvil(8)). Exact across workers that share a table."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from posthouse.backstage.anvil_table import AnvilTable, Seat
from posthouse.maillog import anvil as lines
from posthouse.system.log import DaemonLog


class Event(IntEnum):
    """What is counted per time unit."""

    CONNECTION = 0
    MESSAGE = 1
    RECIPIENT = 2
    NEW_TLS_SESSION = 3
    AUTHENTICATION = 4


# What the peaks are of, in the order of the log.
_PEAKS = ("connection rate", "connection count", "message rate", "recipient rate", "newtls rate", "auth rate")
_RATE_NAMES = {
    Event.CONNECTION: "connection rate",
    Event.MESSAGE: "message rate",
    Event.RECIPIENT: "recipient rate",
    Event.NEW_TLS_SESSION: "newtls rate",
    Event.AUTHENTICATION: "auth rate",
}
_PEAK = struct.Struct("=I4xd96s96s")  # value, when, service, address
_STATE = struct.Struct("=ddII")  # last report, when the table was largest, records now, most records
_NOTES_SIZE = _STATE.size + len(_PEAKS) * _PEAK.size


class _State(NamedTuple):
    reported: float
    largest_when: float
    records: int
    largest: int


def shared_table() -> AnvilTable:
    """For all workers of a house."""
    return AnvilTable(_NOTES_SIZE)


class Anvil:
    """Counts by service and client address. unit is anvil_rate_time_unit, interval anvil_status_update_time (s).

    A client's rates begin anew when the first event of its time unit is that old, as in Postfix. Without a seat at
    the table of all workers this one counts for itself.
    """

    def __init__(
        self,
        log: DaemonLog,
        seat: Seat | None = None,
        unit: float = 60.0,
        interval: float = 600.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._log, self._unit, self._interval, self._now = log, unit, interval, now
        self._table, self._seat = (seat.table, seat.number) if seat is not None else (shared_table(), 0)
        self._has_told_of_no_room = False

    def connect(self, service: str, address: str) -> tuple[int, int]:
        """(open connections, connections per time unit), this one included."""
        with self._table as table:
            record, now = self._client(service, address)
            if record is None:
                return 1, 1
            count = table.open(record, self._seat, 1)
            rate = table.count(record, Event.CONNECTION)
            self._note("connection count", count, service, address, now)
            self._note("connection rate", rate, service, address, now)
        self._report_in_time(now)
        return count, rate

    def disconnect(self, service: str, address: str) -> None:
        """A connection that connect() has counted is over."""
        with self._table as table:
            record = table.find(service, address)
            if record is not None:
                table.open(record, self._seat, -1)

    def message(self, service: str, address: str) -> int:
        """MAIL FROM."""
        return self._count(Event.MESSAGE, service, address)

    def recipient(self, service: str, address: str) -> int:
        """RCPT TO."""
        return self._count(Event.RECIPIENT, service, address)

    def new_tls_session(self, service: str, address: str) -> int:
        """A TLS handshake that resumed nothing."""
        return self._count(Event.NEW_TLS_SESSION, service, address)

    def tls_sessions_so_far(self, service: str, address: str) -> int:
        """New TLS sessions in this time unit; this is no event."""
        now = self._now()
        with self._table as table:
            record = table.find(service, address)
            if record is None or now - table.began(record) > self._unit:
                return 0
            return table.count(record, Event.NEW_TLS_SESSION, 0)

    def authentication(self, service: str, address: str) -> int:
        """AUTH."""
        return self._count(Event.AUTHENTICATION, service, address)

    def report(self) -> None:
        """Log the peaks, and begin anew (at the end, and every interval)."""
        now = self._now()
        with self._table as table:
            texts = self._peaks()
            state = self._state()
            left = table.forget_old(now - self._unit)
            table.notes[:] = bytes(_NOTES_SIZE)
            self._set_state(_State(now, now, left, 0))
        if state.largest:
            texts.append(lines.cache_size(state.largest, state.largest_when))
        for text in texts:
            self._log.info(text)

    def _peaks(self) -> list[str]:
        texts = []
        for number, what in enumerate(_PEAKS):
            value, when, service, address = _PEAK.unpack_from(self._table.notes, _STATE.size + number * _PEAK.size)
            if value:
                shown = str(value) if what == "connection count" else f"{value}/{int(self._unit)}s"
                texts.append(lines.peak(what, shown, _text(service), _text(address), when))
        return texts

    def _count(self, event: Event, service: str, address: str) -> int:
        with self._table as table:
            record, now = self._client(service, address)
            if record is None:
                return 1
            value = table.count(record, event)
            self._note(_RATE_NAMES[event], value, service, address, now)
        self._report_in_time(now)
        return value

    def _client(self, service: str, address: str) -> tuple[int | None, float]:
        """The client's record, its time unit under way; None where there is no room (it is not counted then)."""
        now, table = self._now(), self._table
        found = table.find_or_add(service, address, now - self._unit)
        if found is None:
            if not self._has_told_of_no_room:
                self._has_told_of_no_room = True
                self._log.warning(lines.table_full())
            return None, now
        if found.is_more:
            self._count_record(now)
        if found.is_new or now - table.began(found.record) > self._unit:
            table.begin(found.record, now)
        return found.record, now

    def _count_record(self, now: float) -> None:
        state = self._state()
        records = state.records + 1
        if records > state.largest:
            state = state._replace(largest=records, largest_when=now)
        self._set_state(state._replace(records=records, reported=state.reported or now))

    def _note(self, what: str, value: int, service: str, address: str, now: float) -> None:
        at = _STATE.size + _PEAKS.index(what) * _PEAK.size
        if value > _PEAK.unpack_from(self._table.notes, at)[0]:
            _PEAK.pack_into(self._table.notes, at, value, now, service.encode()[:96], address.encode()[:96])

    def _state(self) -> _State:
        return _State._make(_STATE.unpack_from(self._table.notes))

    def _set_state(self, state: _State) -> None:
        _STATE.pack_into(self._table.notes, 0, *state)

    def _report_in_time(self, now: float) -> None:
        if now - self._state().reported >= self._interval:
            self.report()


def _text(padded: bytes) -> str:
    return padded.rstrip(b"\0").decode("utf-8", "replace")
