"""How far the scanner looks into a message: bombs of parts, levels and bytes come to an end here ($MAXFILES)."""

from __future__ import annotations

import time
from dataclasses import dataclass


class TooMuch(Exception):
    """A message has more in it than is looked at; the text says of what."""


@dataclass(frozen=True, slots=True)
class Limits:
    """files: parts and members of archives together; levels: of multiparts, of messages in messages, and of archives in
    archives; expanded: bytes that archives may hold in all; factor: how many times their size they may; seconds: for
    all of it.
    """

    files: int = 1500
    levels: int = 14
    expanded: int = 300 * 1024 * 1024
    least_expanded: int = 100 * 1024
    factor: float = 500.0
    seconds: float = 30.0


class Budget:
    """What is left of the limits for one message."""

    __slots__ = ("_bytes", "_ends", "_files", "limits")

    def __init__(self, limits: Limits, size: int) -> None:
        self.limits = limits
        self._files = limits.files
        self._bytes = max(limits.least_expanded, min(limits.expanded, int(size * limits.factor)))
        self._ends = time.monotonic() + limits.seconds

    def take_file(self) -> None:
        """One more part or member. Raises TooMuch."""
        self._files -= 1
        if self._files < 0:
            raise TooMuch(f"more than {self.limits.files} parts")
        self.take_time()

    def take_bytes(self, count: int) -> None:
        """So many bytes come out of an archive. Raises TooMuch."""
        self._bytes -= count
        if self._bytes < 0:
            raise TooMuch("archives that expand to too much")
        self.take_time()

    def take_level(self, level: int) -> None:
        """Go down to this level (1 is the message itself). Raises TooMuch."""
        if level > self.limits.levels:
            raise TooMuch(f"more than {self.limits.levels} levels")

    def take_time(self) -> None:
        """Raises TooMuch when the time is over."""
        if time.monotonic() > self._ends:
            raise TooMuch(f"not looked through within {self.limits.seconds:g} s")
