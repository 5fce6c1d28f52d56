"""When to try again, and when to give up (queue_run_delay, minimal_backoff_time ... in qmgr(8)). Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Patience:
    """How long mail is tried."""

    minimal: int
    maximal: int
    lifetime: int
    bounce_lifetime: int
    warning: int

    @classmethod
    def of(cls, settings: Settings) -> Patience:
        return cls(
            settings.seconds("minimal_backoff_time"),
            settings.seconds("maximal_backoff_time"),
            settings.seconds("maximal_queue_lifetime"),
            settings.seconds("bounce_queue_lifetime"),
            settings.seconds("delay_warning_time"),
        )

    def next_try(self, arrival: float, now: float) -> float:
        """The longer a message has waited, the longer it waits again."""
        return now + min(max(now - arrival, self.minimal), self.maximal)

    def is_over(self, arrival: float, now: float, sender: str) -> bool:
        """Whether the message has been tried for long enough; bounces have a limit of their own."""
        return now >= arrival + (self.lifetime if sender else self.bounce_lifetime)

    def is_time_to_warn(self, arrival: float, now: float) -> bool:
        """Whether the sender should hear that the message is late."""
        return self.warning > 0 and now >= arrival + self.warning
