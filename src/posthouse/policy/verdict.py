"""What policy answers: let it in or refuse, what else shall happen to the mail, and what the log is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from posthouse.mail.status import Status


class Effect(Enum):
    """An access(5) action that lets the mail pass and does something to it."""

    HOLD = "HOLD"
    DISCARD = "DISCARD"
    FILTER = "FILTER"
    REDIRECT = "REDIRECT"
    BCC = "BCC"
    PREPEND = "PREPEND"


@dataclass(frozen=True, slots=True)
class Action:
    """effect with its argument: text for the log, transport:nexthop, an address, or a header field."""

    effect: Effect
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log in the form of a reject ("warn", "info", "hold", "filter", "discard", "reject_warning",
    "permit" ...): kind and the text after "RCPT from host[addr]: ". The session adds the rest (maillog.reject).
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """refusal None lets the command pass. closes: the connection ends after the reply (421, 521).

    actions and notes come with either answer.
    """

    refusal: Status | None = None
    closes: bool = False
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()


PASS = Verdict()
