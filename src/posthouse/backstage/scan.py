"""The scanner as a mail server: takes mail by SMTP or LMTP, has it looked at, and hands it on (amavisd's place).

The client hears 250 only when the next hop has taken the mail, or a rule has ended it. So nothing is lost here,
whatever dies in the middle, and no mail goes by unscanned in silence.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from posthouse.backstage.scan_acts import Fate, Scan, ScanActs, refusal, wording
from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed, TemporaryFailure
from posthouse.filters.scanner.examine import Examiner, Verdicts
from posthouse.filters.scanner.judge import Decision, Destiny, Kind
from posthouse.filters.scanner.rules import ScanRules
from posthouse.filters.scanner.tagging import Additions, additions, tagged_header
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Origin
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Sent
from posthouse.mail.status import Status
from posthouse.maillog import amavis as lines
from posthouse.services.delivery import DeliveryAgent, DeliveryRequest, Target
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Refused, Submission

_QUEUED_AS = re.compile(r"queued as ([\w-]+)")
_UNREADABLE = Status("4.3.0", 451, "Error: content scanner cannot read the message, try again later")


@dataclass(slots=True)
class _Passage:
    """How far a message has come: the next hop's word for each recipient that passes, by index, and under which id it
    was queued there; contents are what each of them was sent.
    """

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    contents: dict[int, Content] = field(default_factory=dict)

    def those(self, kind: type[Outcome]) -> list[int]:
        return [index for index, outcome in self.outcomes.items() if isinstance(outcome, kind)]

    @property
    def queued_as(self) -> str:
        ids = (
            _QUEUED_AS.search(outcome.status.text) for outcome in self.outcomes.values() if isinstance(outcome, Sent)
        )
        return "/".join(dict.fromkeys(found[1] for found in ids if found))


class ScanIntake:
    """What smtpd gives mail to in a scan service (services.intake.Intake). agent brings it to the next hop."""

    def __init__(self, rules: ScanRules, settings: Settings, house: House, agent: DeliveryAgent) -> None:
        self._rules, self._house, self._agent = rules, house, agent
        self._acts = ScanActs(rules, settings, house)
        self._log = self._acts.log
        self._examiner = Examiner(rules, self._log.warning)

    def new_queue_id(self) -> str:
        if self._house.intake is None:
            raise RuntimeError("the house has no intake")
        return self._house.intake.new_queue_id()

    async def keep(self, message: QueuedMessage) -> Accepted | Refused:
        if self._house.intake is None:
            raise RuntimeError("the house has no intake")
        return await self._house.intake.keep(message)

    async def take(self, submission: Submission) -> Accepted | Refused:
        """Look at it and act; returns when the next hop has it, or it is certain that it goes nowhere."""
        started = time.monotonic()
        scan = Scan(
            self._acts.number(), secrets.token_urlsafe(9), started, submission.queue_id, submission.arrival,
            submission.envelope, submission.content, self._acts.is_own(submission.envelope.origin),
        )  # fmt: skip
        try:
            return await self._deal_with(scan, by_recipient=submission.by_recipient)
        except TemporaryFailure as failed:
            why = failed.status.reason or failed.status.text
            self._log.warning(lines.note(scan.number, f"{scan.queue_id}: deferred: {why}"))
            return Refused(failed.status)
        except (OSError, LookupFailed) as error:
            self._log.warning(lines.note(scan.number, f"{scan.queue_id}: deferred: {error}"))
            return Refused(_UNREADABLE)
        finally:
            _forget(submission.content.body)

    async def _deal_with(self, scan: Scan, *, by_recipient: bool) -> Accepted | Refused:
        local = await self._acts.local(scan.envelope)
        verdicts = await self._examiner.examine(scan.content, scan.envelope, local)
        quarantine = await self._acts.quarantine(scan, verdicts)
        passage = await self._hand_on(scan, verdicts, quarantine)
        answer = await self._end(scan, verdicts, passage, by_recipient=by_recipient)
        if isinstance(answer, Refused) and answer.status.is_temporary:
            self._log.info(lines.note(scan.number, f"{scan.queue_id}: deferred: {answer.status.text}"))
            return answer
        await self._acts.tell_admins(scan, verdicts, quarantine)
        rejects_bounce = not isinstance(answer, Refused) and not by_recipient
        self._acts.tell(scan, verdicts, Fate(passage.queued_as, quarantine, rejects_bounce))
        return answer

    # -- to the next hop

    async def _hand_on(self, scan: Scan, verdicts: Verdicts, quarantine: str) -> _Passage:
        """To those whom it passes to; those who get the same fields get it together."""
        marks = replace(self._rules.marks, quarantine_id=scan.mail_id if quarantine else "")
        groups: dict[Additions, list[int]] = {}
        for index, decision in enumerate(verdicts.decisions):
            if decision.is_passed:
                groups.setdefault(additions(verdicts.findings, decision, marks), []).append(index)
        passage = _Passage()
        for added, indexes in groups.items():
            header = tagged_header(scan.content.header, added, self._rules.removed_fields)
            content = Content(header, scan.content.body)
            passage.contents |= dict.fromkeys(indexes, content)
            passage.outcomes |= await self._deliver(scan, content, indexes)
        return passage

    async def _deliver(self, scan: Scan, content: Content, indexes: Sequence[int]) -> dict[int, Outcome]:
        message = QueuedMessage(scan.queue_id, scan.arrival, _with_ident(scan).envelope, content, content.size)
        now, rules = time.time(), self._rules
        targets = tuple(Target(index, scan.envelope.recipients[index]) for index in indexes)
        request = DeliveryRequest(message, rules.transport, rules.forward, targets, now, now, connection_reuse=True)
        report = await self._agent.deliver(request)
        found: dict[int, Outcome] = {}
        for result in report.results:
            if not isinstance(found.get(result.index), Deferred):
                found[result.index] = result.outcome
        missing = Deferred(Status("4.3.0", 451, "no answer from the next hop"))
        return {index: found.get(index, missing) for index in indexes}

    # -- the end

    async def _end(
        self, scan: Scan, verdicts: Verdicts, passage: _Passage, *, by_recipient: bool
    ) -> Accepted | Refused:
        """The answer, after what has to be done for it to be true."""
        statuses = [self._status(scan, verdicts.decisions, passage, i) for i in range(len(verdicts.decisions))]
        asked_to_bounce = [
            (index, _bounce_status(decision, scan.number))
            for index, decision in enumerate(verdicts.decisions)
            if decision.destiny is Destiny.BOUNCE and decision.bounces
        ]
        if by_recipient:
            await self._acts.bounce(scan, asked_to_bounce)
            return Accepted(scan.queue_id, statuses=tuple(statuses))
        has_ended = bool(passage.those(Sent)) or any(_is_final(decision) for decision in verdicts.decisions)
        if not has_ended or (passage.those(Deferred) and not passage.those(Sent)):
            # Nothing has been done that cannot be done again: the client keeps the message, or hears a refusal.
            return Refused(next((status for status in statuses if status.is_temporary), statuses[0]))
        await self._queue_deferred(scan, passage)
        refused = [(index, statuses[index]) for index in self._refused_here(verdicts, passage)]
        await self._acts.bounce(scan, sorted([*asked_to_bounce, *refused]))
        return self._answer(scan, passage, statuses)

    async def _queue_deferred(self, scan: Scan, passage: _Passage) -> None:
        """What the next hop takes later, while it has taken the rest: SMTP has no answer for that."""
        waiting: dict[bytes, list[int]] = {}
        for index in passage.those(Deferred):
            waiting.setdefault(passage.contents[index].header, []).append(index)
        for indexes in waiting.values():
            await self._acts.queue_for(scan, indexes, passage.contents[indexes[0]])

    def _refused_here(self, verdicts: Verdicts, passage: _Passage) -> list[int]:
        """Recipients who were refused, while SMTP has no refusal for some of several."""
        rejected = [i for i, d in enumerate(verdicts.decisions) if d.destiny is Destiny.REJECT and d.bounces]
        return [*rejected, *passage.those(Bounced)]

    def _answer(self, scan: Scan, passage: _Passage, statuses: Sequence[Status]) -> Accepted:
        sent = passage.those(Sent)
        first = statuses[sent[0]] if sent else statuses[0]
        refused = sum(status.is_permanent for status in statuses)
        if refused and first.is_success:
            first = replace(first, text=f"{first.text}, but {refused} REJECT")
        return Accepted(scan.queue_id, first)

    def _status(self, scan: Scan, decisions: Sequence[Decision], passage: _Passage, index: int) -> Status:
        """What one recipient comes to, for the client."""
        decision, outcome = decisions[index], passage.outcomes.get(index)
        match outcome:
            case Sent(status):
                text = status.text if status.text[:3].isdigit() else f"250 {status.text}"
                return Status("2.0.0", 250, f"from MTA(smtp:{self._rules.forward}): {text}"[:450])
            case Deferred(status):
                return Status(
                    _class(status.dsn, "4"), 451, f"from MTA(smtp:{self._rules.forward}): {status.text}"[:450]
                )
            case Bounced(status):
                return Status(
                    _class(status.dsn, "5"), 554, f"from MTA(smtp:{self._rules.forward}): {status.text}"[:450]
                )
            case None:
                return _stopped(decision, scan.number)


def _stopped(decision: Decision, number: str) -> Status:
    match decision.destiny:
        case Destiny.REJECT:
            return refusal(decision, number)
        case Destiny.BOUNCE:
            word = "BOUNCE" if decision.bounces else "DISCARD(bounce.suppressed)"
            return Status("2.5.0", 250, f"Ok, id={number}, {word}")
        case _:
            return Status("2.7.0", 250, refusal(decision, number).text.replace("Reject", "Ok, discarded", 1))


def _bounce_status(decision: Decision, number: str) -> Status:
    dsn = "5.6.0" if decision.kind is Kind.BAD_HEADER else "5.7.0"
    return Status(dsn, 554, f"Bounce, id={number} - {wording(decision)}"[:400])


def _is_final(decision: Decision) -> bool:
    """Whether a rule ended it, with an answer that is no refusal."""
    return decision.destiny in (Destiny.DISCARD, Destiny.BOUNCE)


def _class(dsn: str, first: str) -> str:
    return dsn if dsn.startswith(first) else f"{first}.0.0"


def _with_ident(scan: Scan) -> Scan:
    """The next hop hears by XFORWARD which queue id the message has in front of the scanner."""
    origin: Origin = scan.envelope.origin
    if origin.identifier:
        return scan
    return replace(scan, envelope=replace(scan.envelope, origin=replace(origin, identifier=scan.queue_id)))


def _forget(body: bytes | FilePart) -> None:
    """Whatever became of the message, its file here is not needed any more."""
    if isinstance(body, FilePart):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(body.path)
