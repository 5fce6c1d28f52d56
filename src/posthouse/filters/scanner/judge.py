"""From what was found in a message to what happens to it, for each recipient by its own rules ($final_*_destiny)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from posthouse.filters.scanner.bad_header import BadHeader
from posthouse.mail.envelope import Recipient
from posthouse.protocols.spamd import SpamAnswer


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
    UNCHECKED = "UNCHECKED"
    SPAM = "SPAM"
    SPAMMY = "SPAMMY"
    BAD_HEADER = "BAD-HEADER"
    CLEAN = "CLEAN"


GRAVITY = {kind: number for number, kind in enumerate(Kind)}
HARMLESS = frozenset((Kind.SPAMMY, Kind.CLEAN))


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a message, whoever it is for. unchecked says what of it could not be looked at. aside: nobody
    could look, and it is to be kept where somebody will. notes are for the header and the log.
    """

    virus: str = ""
    banned: tuple[str, ...] = ()
    unchecked: str = ""
    aside: str = ""
    bad_header: BadHeader | None = None
    notes: tuple[str, ...] = ()

    def kinds(self) -> list[Kind]:
        """Without spam, which may differ from one recipient to the next."""
        found = [Kind.INFECTED] if self.virus else []
        if self.banned:
            found.append(Kind.BANNED)
        if self.unchecked or self.aside:
            found.append(Kind.UNCHECKED)
        if self.bad_header is not None:
            found.append(Kind.BAD_HEADER)
        return found

    def detail(self, kind: Kind) -> str:
        """What exactly, for a kind that was found."""
        match kind:
            case Kind.INFECTED:
                return self.virus
            case Kind.BANNED:
                return ", ".join(self.banned)
            case Kind.UNCHECKED:
                return self.aside or self.unchecked
            case Kind.BAD_HEADER if self.bad_header is not None:
                return self.bad_header.text
            case _:
                return ""


@dataclass(frozen=True, slots=True)
class Levels:
    """Scores: from tag on mail gets X-Spam fields, from tag2 on it is called spammy, from kill on it is spam; from
    dsn_cutoff on no bounce is sent, from quarantine_cutoff on spam is not kept. None: never.
    """

    tag: float | None = 2.0
    tag2: float | None = 6.2
    kill: float | None = 6.9
    dsn_cutoff: float | None = 10.0
    quarantine_cutoff: float | None = None


@dataclass(frozen=True, slots=True)
class Personal:
    """What holds for one recipient. bypasses are the kinds that are not looked for, loves those that pass even so."""

    levels: Levels = Levels()
    bypasses: frozenset[Kind] = frozenset()
    loves: frozenset[Kind] = frozenset()
    is_local: bool = True
    spamd_user: str = ""
    subject_tags: Mapping[Kind, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a message for one recipient: kind is the contents that decided. tagged: X-Spam fields are due.
    bounces: the sender is to be told; destiny D_BOUNCE without it is D_DISCARD. fault is bad_header's number, 0 none.
    """

    recipient: Recipient
    personal: Personal
    kind: Kind
    destiny: Destiny
    spam: SpamAnswer | None = None
    detail: str = ""
    tagged: bool = False
    marked: bool = False
    bounces: bool = False
    fault: int = 0

    @property
    def is_passed(self) -> bool:
        return self.destiny is Destiny.PASS

    @property
    def score(self) -> float | None:
        return None if self.spam is None else self.spam.score


@dataclass(frozen=True, slots=True)
class Case:
    """One recipient of a message from sender ("" the null sender), and what spamd says for that recipient."""

    recipient: Recipient
    personal: Personal
    sender: str
    spam: SpamAnswer | None = None


def judge(findings: Findings, case: Case, destinies: Mapping[Kind, Destiny]) -> Decision:
    """The gravest of what does not pass decides; where all passes, the gravest of what was found names the mail."""
    personal, spam = case.personal, case.spam
    tagged, marked = reaches(spam, personal.levels.tag), reaches(spam, personal.levels.tag2)
    is_spam = reaches(spam, personal.levels.kill)
    kinds = [
        kind
        for kind in findings.kinds()
        if kind not in personal.bypasses or (findings.aside and kind is Kind.UNCHECKED)
    ]
    kinds += [Kind.SPAM] if is_spam else [Kind.SPAMMY] if marked else []
    kinds.sort(key=GRAVITY.__getitem__)
    kind, destiny = (kinds or [Kind.CLEAN])[0], Destiny.PASS
    for found in kinds:
        its = _destiny(found, findings, personal, destinies)
        if its is not Destiny.PASS:
            kind, destiny = found, its
            break
    return Decision(
        case.recipient, personal, kind, destiny, spam, findings.detail(kind), tagged, marked or is_spam,
        bounces=_may_bounce(kind, case),
        fault=int(findings.bad_header.fault) if findings.bad_header is not None and destiny is Destiny.PASS else 0,
    )  # fmt: skip


def _destiny(kind: Kind, findings: Findings, personal: Personal, destinies: Mapping[Kind, Destiny]) -> Destiny:
    if kind is Kind.UNCHECKED and findings.aside:
        return Destiny.DISCARD
    if kind in HARMLESS or kind in personal.loves:
        return Destiny.PASS
    return destinies.get(kind, Destiny.PASS)


def _may_bounce(kind: Kind, case: Case) -> bool:
    """Not to the null sender, not about a virus (its sender is forged), and not about what is spam beyond doubt."""
    return bool(case.sender) and kind is not Kind.INFECTED and not reaches(case.spam, case.personal.levels.dsn_cutoff)


def reaches(spam: SpamAnswer | None, level: float | None) -> bool:
    """Whether there is a score, and a level, and the score is not below it."""
    return spam is not None and level is not None and spam.score >= level
