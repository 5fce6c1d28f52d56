"""Asks the restrictions of a list in their order and keeps the books: warn_if_reject, defer_if_permit, defer_if_reject,
soft_bounce (smtpd(8); postconf(5)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from posthouse.config.settings import Place
from posthouse.mail.status import Status
from posthouse.maillog import policy as texts
from posthouse.policy.answer import PERMIT, Answer, Permit, Postpone, Refuse, StopEvaluation, Unless, server_error
from posthouse.policy.catalogue import Restriction
from posthouse.policy.check import Check
from posthouse.policy.trace import Entry
from posthouse.policy.verdict import Note

_MAX_DEPTH = 20  # lists within lists; a class that names itself would never end
_MAX_REPLY = 510  # bytes in a reply line (RFC 5321, 4.5.3.1.5)


@dataclass(frozen=True, slots=True)
class Rule:
    """One restriction with its argument made ready. ask(check) gives an Answer, or (waits) an awaitable of one.

    text is the rule as written; softened: warn_if_reject stands before it. restriction is None for a restriction class
    (members are then its rules) and for a word that is no restriction.
    """

    text: str
    ask: Callable[[Check], Any]
    waits: bool
    softened: bool = False
    restriction: Restriction | None = None
    argument: str = ""
    members: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleList:
    """The value of one parameter, ready for use."""

    parameter: str
    place: Place | None
    rules: tuple[Rule, ...]


async def evaluate(rules: RuleList, check: Check) -> Permit | Refuse | None:
    """The answer of a whole list; None where no restriction had an opinion."""
    check.softened, check.depth = False, 0
    check.postponed.pop(Unless.REJECT, None)
    try:
        if check.trace is not None:
            return await _ask_with_trace(rules.rules, check, rules)
        return await ask_all(rules.rules, check)
    except StopEvaluation as stop:
        return Refuse(stop.status, is_our_trouble=True)


async def ask_all(rules: tuple[Rule, ...], check: Check) -> Permit | Refuse | None:
    """The first answer that settles the matter. Raises StopEvaluation."""
    for rule in rules:
        if check.discarded:
            return PERMIT
        if rule.softened or rule.members:
            settled = await _ask_within(rule, check)
        else:
            answer = rule.ask(check)
            if rule.waits:
                answer = await answer
            if answer is None:
                continue
            settled = weigh(answer, check)
        if settled is not None:
            return settled
        if len(check.postponed) == 2:
            break
    return None


async def _ask_within(rule: Rule, check: Check) -> Permit | Refuse | None:
    """Ask a rule that changes the state around it: warn_if_reject, or a list within a list."""
    outer = check.softened
    check.softened = outer or rule.softened
    try:
        if rule.members:
            return await ask_members(rule.members, check)
        answer = rule.ask(check)
        if rule.waits:
            answer = await answer
        return weigh(answer, check)
    finally:
        check.softened = outer


async def ask_members(
    rules: tuple[Rule, ...], check: Check, entry: tuple[str, str] = ("", "")
) -> Permit | Refuse | None:
    """The answer of a list that stands within another, or is the value of a table (entry: both). Too many levels are a
    mistake in the configuration.
    """
    if check.depth >= _MAX_DEPTH:
        check.means.log.warning(texts.too_deep(*entry))
        raise server_error()
    check.depth += 1
    try:
        if check.trace is not None:
            return await _ask_with_trace(rules, check, None)
        return await ask_all(rules, check)
    finally:
        check.depth -= 1


async def _ask_with_trace(rules: tuple[Rule, ...], check: Check, source: RuleList | None) -> Permit | Refuse | None:
    trace = check.trace
    if trace is None:
        return await ask_all(rules, check)
    for rule in rules:
        position = len(trace.entries)
        settled: Permit | Refuse | None = None
        stopped: StopEvaluation | None = None
        before = dict(check.postponed)
        of_outer_rule, trace.facts = trace.facts, []
        try:
            settled = await ask_all((rule,), check)
        except StopEvaluation as stop:
            stopped = stop
        said = _in_words(settled, stopped, before, check)
        parameter, place = (source.parameter, source.place) if source else ("", None)
        trace.entries.insert(position, Entry(rule.text, parameter, place, check.depth, trace.take_facts(), said))
        trace.facts = of_outer_rule
        if stopped is not None:
            raise stopped
        if settled is not None:
            return settled
        if len(check.postponed) == 2:
            break
    return None


def _in_words(
    settled: Permit | Refuse | None, stopped: StopEvaluation | None, before: dict[Unless, Status], check: Check
) -> str:
    if stopped is not None:
        return f"refuse: {reply_text(stopped.status)}"
    if isinstance(settled, Refuse):
        return f"refuse: {reply_text(settled.status)}"
    if isinstance(settled, Permit):
        return "permit"
    for unless, status in check.postponed.items():
        if unless not in before:
            return f"refuse instead of {unless.value}: {reply_text(status)}"
    return "no opinion"


def weigh(answer: Answer, check: Check) -> Permit | Refuse | None:
    """What an answer comes to, given what was said before."""
    match answer:
        case Refuse():
            return _refuse(answer, check)
        case Postpone(instead_of=unless, status=status):
            if unless is Unless.PERMIT and check.softened:
                return _refuse(Refuse(status), check)
            check.postponed.setdefault(unless, status)
            return None
        case _:
            return answer


def _refuse(answer: Refuse, check: Check) -> Refuse | None:
    status = fit_for_reply(answer.status)
    if check.softened and not answer.is_our_trouble:
        check.notes.append(Note("reject_warning", reply_text(soften(status, check))))
        return None
    earlier = check.postponed.get(Unless.REJECT)
    if earlier is not None and status.code >= 500:
        status = fit_for_reply(earlier)
    return Refuse(soften(status, check), answer.is_our_trouble)


def soften(status: Status, check: Check) -> Status:
    """soft_bounce: what would be refused for good is refused for now."""
    if status.code < 500 or not check.means.soft_bounce:
        return status
    return Status("4" + status.dsn[1:], status.code - 100, status.text, status.reason)


def fit_for_reply(status: Status) -> Status:
    """One line of printable text, not too long, and a dsn whose class agrees with the code."""
    text, dsn = status.text, status.dsn
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    if len(text) > _MAX_REPLY - 10:
        text = text[: _MAX_REPLY - 5 - len(dsn)]
    if dsn and int(dsn[0]) != status.code // 100:
        dsn = f"{status.code // 100}{dsn[1:]}"
    if text is status.text and dsn is status.dsn:
        return status
    return Status(dsn, status.code, text, status.reason)


def reply_text(status: Status) -> str:
    """The status as it goes over the wire and into the log."""
    return f"{status.code} {status.dsn} {status.text}"
