"""What becomes of a message, for each recipient by the recipient's own rules."""

from __future__ import annotations

import pytest

from posthouse.filters.scanner.bad_header import BadHeader, Fault
from posthouse.filters.scanner.judge import Case, Destiny, Findings, Kind, Levels, Personal, judge
from posthouse.mail.envelope import Recipient
from posthouse.protocols.spamd import SpamAnswer

DESTINIES = {
    Kind.INFECTED: Destiny.DISCARD, Kind.BANNED: Destiny.BOUNCE, Kind.SPAM: Destiny.REJECT,
    Kind.BAD_HEADER: Destiny.PASS, Kind.UNCHECKED: Destiny.PASS,
}  # fmt: skip
BAD = BadHeader(Fault.MISSING, "no date")


def decide(findings=None, score=None, sender="a@b", **personal):
    spam = None if score is None else SpamAnswer(False, score, 5.0, ("ONE",))
    case = Case(Recipient("info@example.org"), Personal(**personal), sender, spam)
    return judge(findings or Findings(), case, DESTINIES)


@pytest.mark.parametrize(
    ("findings", "score", "kind", "destiny"),
    [
        (Findings(), None, Kind.CLEAN, Destiny.PASS),
        (Findings(), 6.1, Kind.CLEAN, Destiny.PASS),
        (Findings(), 6.2, Kind.SPAMMY, Destiny.PASS),
        (Findings(), 6.9, Kind.SPAM, Destiny.REJECT),
        (Findings(virus="V", banned=("x",)), 20.0, Kind.INFECTED, Destiny.DISCARD),
        (Findings(banned=("x",), bad_header=BAD), 20.0, Kind.BANNED, Destiny.BOUNCE),
        (Findings(bad_header=BAD), 20.0, Kind.SPAM, Destiny.REJECT),
        (Findings(bad_header=BAD), 1.0, Kind.BAD_HEADER, Destiny.PASS),
        (Findings(unchecked="bomb", bad_header=BAD), None, Kind.UNCHECKED, Destiny.PASS),
        (Findings(unchecked="bomb"), 20.0, Kind.SPAM, Destiny.REJECT),
        (Findings(aside="down"), None, Kind.UNCHECKED, Destiny.DISCARD),
    ],
)  # fmt: skip
def test_the_gravest_that_does_not_pass_decides(findings, score, kind, destiny):
    decision = decide(findings, score)
    assert (decision.kind, decision.destiny) == (kind, destiny)


def test_a_lover_gets_it_and_a_bypasser_is_not_asked_about():
    loved = decide(Findings(virus="V"), loves=frozenset([Kind.INFECTED]))
    assert (loved.kind, loved.is_passed, loved.detail) == (Kind.INFECTED, True, "V")
    assert decide(Findings(virus="V"), bypasses=frozenset([Kind.INFECTED])).kind is Kind.CLEAN


@pytest.mark.parametrize(
    ("findings", "score", "sender", "bounces"),
    [
        (Findings(banned=("x",)), None, "a@b", True),
        (Findings(banned=("x",)), None, "", False),
        (Findings(virus="V"), None, "a@b", False),
        (Findings(), 9.9, "a@b", True),
        (Findings(), 10.0, "a@b", False),
    ],
)
def test_who_is_told_by_a_bounce(findings, score, sender, bounces):
    assert decide(findings, score, sender).bounces is bounces


def test_levels_that_are_not_set_are_never_reached():
    decision = decide(score=1e6, levels=Levels(None, None, None, None))
    assert (decision.kind, decision.tagged, decision.marked, decision.bounces) == (Kind.CLEAN, False, False, True)


def test_a_bad_header_that_passes_has_its_number():
    assert decide(Findings(bad_header=BAD)).fault == 7
