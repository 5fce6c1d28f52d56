"""The joint to address verification: what is known of an address that somebody wants to send from or to (verify(8))."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reachability(Enum):
    """What a probe found. UNKNOWN: a probe is under way and has not come back in time."""

    REACHABLE = "deliverable"
    UNREACHABLE = "undeliverable"
    TEMPORARILY_UNREACHABLE = "temporarily undeliverable"
    UNKNOWN = "in progress"


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer for one address; dsn and text are those of the probe's delivery attempt."""

    reachability: Reachability
    dsn: str = ""
    text: str = ""
