"""What one restriction says: nothing (None), permit, refuse, or refuse later if the others would let it in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from posthouse.errors import PosthouseError
from posthouse.mail.status import Status


@dataclass(frozen=True, slots=True)
class Permit:
    """Let it in, without looking at the rest of this list."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not let it in. is_our_trouble: a broken table or setting of ours, which warn_if_reject does not soften."""

    status: Status
    is_our_trouble: bool = False


class Unless(Enum):
    """What the rest of the lists would have to say for a postponed refusal to take its place."""

    PERMIT = "permit"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Postpone:
    """Refuse with this status if the other restrictions permit (or reject)."""

    instead_of: Unless
    status: Status


Answer = Permit | Refuse | Postpone | None
PERMIT = Permit()


class StopEvaluation(PosthouseError):
    """Something of ours is broken, and no further restriction may be asked: answer with this status at once."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.text)
        self.status = status


def server_error() -> StopEvaluation:
    """A mistake in the configuration; the log has a warning that says which."""
    return StopEvaluation(Status("4.3.5", 451, "Server configuration error"))


def lookup_trouble(subject: str) -> StopEvaluation:
    """A table or the network could not answer about subject."""
    return StopEvaluation(Status("4.3.0", 451, f"<{subject}>: Temporary lookup failure"))
