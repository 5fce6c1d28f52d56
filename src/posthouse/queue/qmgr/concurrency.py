"""How many deliveries a destination takes at a time: grows with success, shrinks with failure (SCHEDULER_README)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError

Feedback = Callable[[int], float]


def read_feedback(text: str, parameter: str = "") -> Feedback:
    """What follows the parameter: 0.5, 1 / 8, 1 / concurrency or 1 / sqrt_concurrency. Raises ConfigError."""
    number, _, divisor = (part.strip() for part in text.partition("/"))
    try:
        amount = float(number)
        if divisor == "concurrency":
            return lambda window: amount / max(window, 1)
        if divisor == "sqrt_concurrency":
            return lambda window: amount / math.sqrt(max(window, 1))
        fixed = amount / float(divisor) if divisor else amount
    except (ValueError, ZeroDivisionError):
        fixed = -1.0
    if not 0 <= fixed <= 1:
        raise ConfigError(f"{parameter} = {text}: neither a number from 0 to 1 nor a fraction", parameter=parameter)
    return lambda _: fixed


@dataclass(frozen=True, slots=True)
class Limits:
    """What the configuration says of one transport. Delays in seconds; 0 is without limit in the limits."""

    processes: int
    recipients: int
    initial: int
    maximal: int
    cohort: float
    positive: Feedback
    negative: Feedback
    rate_delay: int
    transport_rate_delay: int

    @classmethod
    def of(cls, settings: Settings, transport: str, processes: int) -> Limits:
        """The <transport>_ parameters, or the default_ ones. Raises ConfigError."""

        def text(suffix: str) -> str:
            return settings.for_transport(transport, suffix)

        prefix = "destination_concurrency_"
        return cls(
            processes=processes or 1_000_000,
            recipients=int(text("destination_recipient_limit")) or 1_000_000,
            initial=max(int(text("initial_destination_concurrency")), 1),
            maximal=int(text(prefix + "limit")) or 1_000_000,
            cohort=float(text(prefix + "failed_cohort_limit")),
            positive=read_feedback(text(prefix + "positive_feedback"), f"{transport}_{prefix}positive_feedback"),
            negative=read_feedback(text(prefix + "negative_feedback"), f"{transport}_{prefix}negative_feedback"),
            rate_delay=settings.seconds(f"{transport}_destination_rate_delay"),
            transport_rate_delay=settings.seconds(f"{transport}_transport_rate_delay"),
        )


class Window:
    """The number of deliveries at a time to one destination. 0 means that the destination is dead."""

    __slots__ = ("_cohorts", "_failure", "_limits", "_success", "size")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.size = self._first()
        self._success = self._failure = self._cohorts = 0.0

    def _first(self) -> int:
        if self._limits.rate_delay:
            return 1
        return min(self._limits.initial, self._limits.maximal)

    def note_success(self, busy: int) -> None:
        """A delivery reached the destination. busy: deliveries under way there, this one among them."""
        self._cohorts = 0.0
        limits = self._limits
        if self.size == 0:
            self.size = self._first()
        if limits.rate_delay or self.size >= limits.maximal or busy < self.size:
            return
        self._success += limits.positive(self.size)
        self._failure = 0.0
        while self._success >= 1 and self.size < limits.maximal:
            self.size, self._success = self.size + 1, self._success - 1

    def note_failure(self) -> bool:
        """The destination as a whole failed; whether it counts as dead now."""
        if self.size == 0:
            return True
        limits = self._limits
        if limits.cohort > 0:
            self._cohorts += 1.0 / self.size
            if self._cohorts >= limits.cohort - 1e-9:
                self.size = 0
                return True
        self._failure -= limits.negative(self.size)
        self._success = 0.0
        while self._failure < 0 and self.size > 1:
            self.size, self._failure = self.size - 1, self._failure + 1
        return False

    @property
    def is_untouched(self) -> bool:
        """Whether forgetting this window would change nothing."""
        return self.size == self._first() and not (self._success or self._failure or self._cohorts)
