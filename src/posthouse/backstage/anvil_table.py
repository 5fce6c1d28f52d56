"""What anvil(8) counts, in memory that all workers share: a limit holds exactly, however many of them there are.

master makes the table before it starts workers, and gives each of them a seat. A worker writes down its open
connections at its seat; when it dies, master clears the seat. Workers take turns by a record lock, which the system
takes from the dead.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

SEATS = 64
BUCKETS = 4096
DEPTH = 16  # clients of a bucket
RATES = 5

_KEY_SIZE = 16
_NO_KEY = bytes(_KEY_SIZE)
_BEGAN = struct.Struct("d")
_RATE = struct.Struct("I")
_RATES = struct.Struct(f"{RATES}I")
_OPEN = struct.Struct("H")
_OPENS = struct.Struct(f"{SEATS}H")
_OPENS_AT = _BEGAN.size + _RATES.size + 4
_RECORD_SIZE = _OPENS_AT + _OPENS.size
_MOST_OPEN = 0xFFFF
_NO_OPENS = bytes(_OPENS.size)


class Found(NamedTuple):
    """Where a client's record is; whether it is new, and whether the table has one more record for it."""

    record: int
    is_new: bool
    is_more: bool


@dataclass(frozen=True, slots=True)
class Seat:
    """Where one worker writes down its open connections."""

    table: AnvilTable
    number: int

    def vacate(self) -> None:
        """The worker is gone, and its connections with it."""
        self.table.vacate(self.number)


class AnvilTable:
    """Records by service and client address; notes is room for what belongs to all of them (bytes, aligned by 8).

    All methods but seat() and vacate() are called with the lock held: `with table: ...`.
    """

    def __init__(self, notes: int = 0) -> None:
        self._file = _nameless_file()
        self._notes_at = BUCKETS * DEPTH * (_KEY_SIZE + _RECORD_SIZE)
        size = self._notes_at + notes
        os.ftruncate(self._file, size)
        self._memory = mmap.mmap(self._file, size)  # MAP_SHARED: children write into the same
        self.notes = memoryview(self._memory)[self._notes_at :]
        self._seats: set[int] = set()

    def __enter__(self) -> Self:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def seat(self) -> Seat | None:
        """A free seat for a worker that is about to start; None where all are taken."""
        free = next((number for number in range(SEATS) if number not in self._seats), None)
        if free is None:
            return None
        self._seats.add(free)
        return Seat(self, free)

    def vacate(self, number: int) -> None:
        """Nobody sits there any more, and no connection is open there."""
        with self:
            for place in self._places():
                _OPEN.pack_into(self._memory, _record(place) + _OPENS_AT + number * _OPEN.size, 0)
        self._seats.discard(number)

    def find(self, service: str, address: str) -> int | None:
        """Where the record of a client is."""
        key = _key(service, address)
        return self._find(key, _bucket(key))

    def find_or_add(self, service: str, address: str, old: float) -> Found | None:
        """None where too many others are busy.

        A record whose time unit began before old (s since the epoch) may be given away when it has no connections.
        """
        key = _key(service, address)
        bucket = _bucket(key)
        found = self._find(key, bucket)
        if found is not None:
            return Found(found, is_new=False, is_more=False)
        for place in range(bucket * DEPTH, (bucket + 1) * DEPTH):
            record = _record(place)
            is_free = self._key_at(place) == _NO_KEY
            if is_free or (self.began(record) < old and not self._has_open(record)):
                self._memory[place * _KEY_SIZE : (place + 1) * _KEY_SIZE] = key
                self._memory[record : record + _RECORD_SIZE] = bytes(_RECORD_SIZE)
                return Found(record, is_new=True, is_more=is_free)
        return None

    def began(self, record: int) -> float:
        """When the client's time unit began (s since the epoch)."""
        return float(_BEGAN.unpack_from(self._memory, record)[0])

    def begin(self, record: int, now: float) -> None:
        """A new time unit: nothing has happened in it."""
        _BEGAN.pack_into(self._memory, record, now)
        _RATES.pack_into(self._memory, record + _BEGAN.size, *(0,) * RATES)

    def count(self, record: int, rate: int, by: int = 1) -> int:
        """One event more in this time unit (or none); how many there are."""
        at = record + _BEGAN.size + rate * _RATE.size
        value = int(_RATE.unpack_from(self._memory, at)[0]) + by
        _RATE.pack_into(self._memory, at, value)
        return value

    def open(self, record: int, seat: int, by: int) -> int:
        """One connection more (1) or less (-1) at a seat; how many there are at all seats."""
        at = record + _OPENS_AT + seat * _OPEN.size
        value = int(_OPEN.unpack_from(self._memory, at)[0]) + by
        _OPEN.pack_into(self._memory, at, min(max(0, value), _MOST_OPEN))
        return sum(_OPENS.unpack_from(self._memory, record + _OPENS_AT))

    def forget_old(self, old: float) -> int:
        """Free the records whose time unit began before old and that have no connections; how many are left."""
        left = 0
        for place in self._places():
            record = _record(place)
            if self.began(record) < old and not self._has_open(record):
                self._memory[place * _KEY_SIZE : (place + 1) * _KEY_SIZE] = _NO_KEY
            else:
                left += 1
        return left

    def _find(self, key: bytes, bucket: int) -> int | None:
        start = bucket * DEPTH * _KEY_SIZE
        end = start + DEPTH * _KEY_SIZE
        at = self._memory.find(key, start, end)
        while at >= 0 and at % _KEY_SIZE:
            at = self._memory.find(key, at + 1, end)
        return _record(at // _KEY_SIZE) if at >= 0 else None

    def _key_at(self, place: int) -> bytes:
        return self._memory[place * _KEY_SIZE : (place + 1) * _KEY_SIZE]

    def _has_open(self, record: int) -> bool:
        return self._memory[record + _OPENS_AT : record + _RECORD_SIZE] != _NO_OPENS

    def _places(self) -> Iterator[int]:
        """Places in use."""
        empty = _NO_KEY * DEPTH
        for bucket in range(BUCKETS):
            start = bucket * DEPTH * _KEY_SIZE
            if self._memory[start : start + DEPTH * _KEY_SIZE] == empty:
                continue
            for place in range(bucket * DEPTH, (bucket + 1) * DEPTH):
                if self._key_at(place) != _NO_KEY:
                    yield place


def _nameless_file() -> int:
    """An open file of this process and its children alone, in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("anvil")
    fd, path = tempfile.mkstemp()
    os.unlink(path)
    return fd


def _key(service: str, address: str) -> bytes:
    return hashlib.blake2b(f"{service}\0{address}".encode("utf-8", "surrogateescape"), digest_size=_KEY_SIZE).digest()


def _bucket(key: bytes) -> int:
    return int.from_bytes(key[:4], "big") % BUCKETS


def _record(place: int) -> int:
    return BUCKETS * DEPTH * _KEY_SIZE + place * _RECORD_SIZE
