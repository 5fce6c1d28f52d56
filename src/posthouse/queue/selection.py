"""Which messages of the queue are meant: the filter of `posthouse queue`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from typing import Any

from posthouse.queue.causes import normalised

NULL_SENDER = "MAILER-DAEMON"
Row = list[Any]  # as posthouse.queue.control.row_of makes it


@dataclass(frozen=True)
class Selection:
    """All that is given must hold, of the message and of one of its recipients.

    sender and recipient are addresses, destination a domain; `*` and `?` stand for other letters. cause is part of a
    reason, as it was given or normalised. older is an age in seconds, queues are names; ids are queue ids.
    """

    destination: str = ""
    sender: str = ""
    recipient: str = ""
    cause: str = ""
    older: float = 0.0
    queues: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    @property
    def is_everything(self) -> bool:
        return self == Selection()

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return {
            name: re.compile(translate(value.lower()))
            for name in ("destination", "sender", "recipient")
            if (value := getattr(self, name))
        }

    def among(self, rows: Iterable[Row], now: float) -> Iterator[Row]:
        """The rows that are meant. now is a Unix time (s)."""
        return (row for row in rows if self.matches(row, now))

    def matches(self, row: Row, now: float) -> bool:
        queue_id, queue, arrival, _, _, sender, recipients = row
        if (self.queues and queue not in self.queues) or (self.ids and queue_id not in self.ids):
            return False
        if self.older and now - arrival < self.older:
            return False
        if not self._fits("sender", sender or NULL_SENDER):
            return False
        if not (self.destination or self.recipient or self.cause):
            return True
        return any(self._wants(address, reason) for address, reason in recipients)

    def _wants(self, address: str, reason: str) -> bool:
        return (
            self._fits("recipient", address)
            and self._fits("destination", domain_of(address))
            and (not self.cause or _has_cause(reason, self.cause))
        )

    def _fits(self, name: str, value: str) -> bool:
        pattern = self._patterns.get(name)
        return pattern is None or pattern.match(value.lower()) is not None


def _has_cause(reason: str, wanted: str) -> bool:
    wanted = wanted.lower()
    return wanted in reason.lower() or wanted in normalised(reason).lower()


def domain_of(address: str) -> str:
    """Where a recipient's mail goes; a bare name is of this host."""
    return address.rpartition("@")[2].lower() if "@" in address else "(local)"


def age_in_seconds(text: str) -> float:
    """90s, 30m, 2h, 5d, 1w; a bare number counts hours. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw]?)", text.strip().lower())
    if found is None:
        raise ValueError(text)
    return float(found[1]) * {"s": 1, "m": 60, "": 3600, "h": 3600, "d": 86400, "w": 604800}[found[2]]
