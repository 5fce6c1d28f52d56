"""From what the scanners found to what happens to the mail, by amavisd's destinies and levels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Destiny(Enum):
    """amavisd's D_ constants."""

    PASS = "D_PASS"
    DISCARD = "D_DISCARD"
    REJECT = "D_REJECT"
    BOUNCE = "D_BOUNCE"


class Kind(Enum):
    """What amavis-logwatch calls the contents of a message; the order is that of gravity."""

    INFECTED = "INFECTED"
    BANNED = "BANNED"
    SPAM = "SPAM"
    SPAMMY = "SPAMMY"
    BAD_HEADER = "BAD-HEADER"
    UNCHECKED = "UNCHECKED"
    CLEAN = "CLEAN"


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a message. score is None where nobody was asked."""

    virus: str = ""
    banned: str = ""
    bad_header: str = ""
    score: float | None = None
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Levels:
    """Scores: from tag on mail gets X-Spam headers, from tag2 it is called spammy, from kill on it is spam."""

    tag: float = 2.0
    tag2: float = 6.2
    kill: float = 6.9


@dataclass(frozen=True, slots=True)
class Decision:
    """The kind of content, and what becomes of the message."""

    kind: Kind
    destiny: Destiny
    tagged: bool
    marked: bool
    detail: str = ""

    @property
    def is_passed(self) -> bool:
        return self.destiny is Destiny.PASS


def judge(findings: Findings, levels: Levels, destinies: dict[Kind, Destiny]) -> Decision:
    """The gravest finding decides."""
    score = findings.score
    tagged = score is not None and score >= levels.tag
    marked = score is not None and score >= levels.tag2
    for kind, detail in (
        (Kind.INFECTED, findings.virus),
        (Kind.BANNED, findings.banned),
        (Kind.SPAM, "spam" if score is not None and score >= levels.kill else ""),
        (Kind.BAD_HEADER, findings.bad_header),
    ):
        if detail:
            return Decision(kind, destinies.get(kind, Destiny.PASS), tagged, marked, detail)
    return Decision(Kind.SPAMMY if marked else Kind.CLEAN, Destiny.PASS, tagged, marked)
