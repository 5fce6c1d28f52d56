"""The scanner as a service: takes mail by SMTP, has it looked at, and hands it on; it keeps nothing (amavisd's place).

The client hears 250 only when the next hop has taken the mail, or a rule has thrown it away. So nothing is lost here,
whatever dies in the middle, and no mail goes by unscanned in silence.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from posthouse.config.settings import Settings
from posthouse.filters.scanner import tagging
from posthouse.filters.scanner.backends import AllDown, Group
from posthouse.filters.scanner.judge import Decision, Destiny, Findings, Kind, judge
from posthouse.filters.scanner.rules import ScanRules, scan_rules
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Deferred, Sent
from posthouse.mail.status import Status
from posthouse.maillog import amavis as lines
from posthouse.protocols import clamd, spamd
from posthouse.services.delivery import DeliveryRequest, Result, Target
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Discarded, Refused, Skip, Submission
from posthouse.services.privileged import Identity, MailFile
from posthouse.system.dates import mail_date
from posthouse.system.users import find_user

PIECE = 1 << 16
_QUEUED_AS = re.compile(r"queued as (\w+)")
_MESSAGE_ID = re.compile(rb"^Message-ID:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_FINAL = {Destiny.REJECT: "Rejected", Destiny.BOUNCE: "Bounced", Destiny.DISCARD: "Discarded", Destiny.PASS: "Relayed"}
_NOT_SCANNED = Status("4.7.1", 451, "Error: content scanner is not available, try again later")
_NOT_KEPT = Status("4.3.0", 451, "Error: quarantine is not available, try again later")


@dataclass(frozen=True, slots=True)
class Scan:
    """One message on its way through, and what came of looking at it."""

    submission: Submission
    findings: Findings
    decision: Decision
    mail_id: str
    started: float


class ScanIntake:
    """What smtpd gives mail to in a scan service (services.intake.Intake)."""

    def __init__(self, settings: Settings, house: House) -> None:
        self._rules: ScanRules = scan_rules(settings)
        self._house, self._settings = house, settings
        self._log = house.log(settings, "amavis")
        self._spamd = Group("spamd", self._rules.spamd, self._rules.limit, self._log.warning)
        self._clamd = Group("clamd", self._rules.clamd, self._rules.limit, self._log.warning)
        self._numbers = count(1)
        path = settings.text("posthouse_scan_amavisd_conf")
        for line, text in self._rules.beyond:
            self._log.warning(f"{path}, line {line}: not understood, has no effect: {text}")

    def new_queue_id(self) -> str:
        if self._house.intake is None:
            raise RuntimeError("the house has no intake")
        return self._house.intake.new_queue_id()

    async def take(self, submission: Submission) -> Accepted | Discarded | Refused:
        """Look at it and act; returns when the next hop has it, or it is certain that it goes nowhere."""
        started = time.monotonic()
        try:
            findings = await self._findings(submission.content)
        except AllDown as down:
            return await self._when_down(submission, str(down), started)
        decision = judge(findings, self._rules.levels, self._rules.destinies)
        return await self._act(Scan(submission, findings, decision, secrets.token_urlsafe(9), started))

    async def _findings(self, content: Content) -> Findings:
        virus, spam = await asyncio.gather(self._virus(content), self._spam(content))
        if spam is None:
            return Findings(virus=virus)
        return Findings(virus=virus, score=spam.score, tests=spam.tests)

    async def _virus(self, content: Content) -> str:
        if not self._clamd.backends or content.size > self._rules.virus_size:
            return ""

        def stream() -> Iterator[bytes]:
            yield clamd.COMMAND
            for piece in pieces(content):
                yield clamd.chunk(piece)
            yield clamd.END

        try:
            return await self._clamd.ask(stream, clamd.MAX_ANSWER, clamd.answer)
        except AllDown:
            if self._rules.clamd_down == "pass":
                return ""
            raise

    async def _spam(self, content: Content) -> spamd.SpamAnswer | None:
        if not self._spamd.backends or content.size > self._rules.spam_size:
            return None

        def stream() -> Iterator[bytes]:
            yield spamd.request(content.size)
            yield from pieces(content)

        try:
            return await self._spamd.ask(stream, spamd.MAX_ANSWER, spamd.answer)
        except AllDown:
            if self._rules.spamd_down == "pass":
                return None
            raise

    async def _when_down(self, submission: Submission, why: str, started: float) -> Accepted | Discarded | Refused:
        """Nobody could look: wait, or put it aside where somebody will."""
        if "quarantine" not in (self._rules.spamd_down, self._rules.clamd_down) or not self._rules.quarantine:
            self._log.warning(f"{submission.queue_id}: not scanned, deferred: {why}")
            return Refused(_NOT_SCANNED)
        decision = Decision(Kind.UNCHECKED, Destiny.DISCARD, tagged=False, marked=False, detail=why)
        return await self._act(Scan(submission, Findings(), decision, secrets.token_urlsafe(9), started))

    async def _act(self, scan: Scan) -> Accepted | Discarded | Refused:
        quarantine = ""
        if not scan.decision.is_passed and self._rules.quarantine:
            quarantine = f"{self._rules.quarantine.rstrip('/')}/"
            if await self._keep_aside(scan.submission, quarantine) is not None:
                return Refused(_NOT_KEPT)
        answer: Accepted | Discarded | Refused
        if scan.decision.is_passed:
            answer, queued_as = await self._hand_on(scan)
        else:
            answer, queued_as = self._end(scan), ""
            await self._tell_admin(scan, quarantine)
        if not isinstance(answer, Refused) or not scan.decision.is_passed:
            self._log.info(lines.result(self._line(scan, quarantine, queued_as)))
        return answer

    def _end(self, scan: Scan) -> Discarded | Refused:
        """A message that does not go on. Where it is refused, the server in front tells the sender."""
        submission, decision = scan.submission, scan.decision
        if decision.destiny is Destiny.DISCARD:
            return Discarded(submission.queue_id)
        words = f"Reject, id={submission.queue_id} - {decision.kind.value}"
        if decision.kind is Kind.INFECTED:
            words += f": {decision.detail}"
        return Refused(Status("5.7.0", 554, words))

    async def _hand_on(self, scan: Scan) -> tuple[Accepted | Refused, str]:
        if self._house.agent is None:
            raise RuntimeError("the house has no agents")
        submission, rules = scan.submission, self._rules
        tag = rules.subject_tag if scan.decision.marked else ""
        fields = tagging.fields(scan.findings, scan.decision, rules.levels, scanned_by=rules.scanned_by)
        content = replace(submission.content, header=tagging.tagged_header(submission.content.header, fields, tag))
        message = QueuedMessage(submission.queue_id, submission.arrival, submission.envelope, content, content.size)
        now = time.time()
        targets = tuple(Target(i, recipient) for i, recipient in enumerate(submission.envelope.recipients))
        request = DeliveryRequest(message, rules.transport, rules.forward, targets, now, now, connection_reuse=True)
        report = await self._house.agent(rules.transport).deliver(request)
        return _answer(submission.queue_id, report.results)

    async def _keep_aside(self, submission: Submission, directory: str) -> Status | None:
        """Into the quarantine, a Maildir of mail_owner's. None when it is durable there."""
        if self._house.privileged is None:
            return _NOT_KEPT
        owner = find_user(self._settings.text("mail_owner"))
        if owner is None:
            return _NOT_KEPT
        recipients = "".join(f"X-Envelope-To: <{recipient.address}>\n" for recipient in submission.envelope.recipients)
        head = f"Return-Path: <{submission.envelope.sender}>\n{recipients}".encode("utf-8", "surrogateescape")
        identity = Identity(owner.uid, owner.gid, owner.name)
        return await self._house.privileged.write_maildir(MailFile(identity, directory, head, submission.content))

    async def _tell_admin(self, scan: Scan, quarantine: str) -> None:
        """A short mail to $virus_admin or $spam_admin."""
        rules, decision = self._rules, scan.decision
        admin = {Kind.INFECTED: rules.virus_admin, Kind.SPAM: rules.spam_admin}.get(decision.kind, "")
        if not admin or self._house.intake is None:
            return
        envelope, now = scan.submission.envelope, time.time()
        names = ", ".join(f"<{recipient.address}>" for recipient in envelope.recipients)
        what = f"{decision.kind.value} ({decision.detail})" if decision.kind is Kind.INFECTED else decision.kind.value
        text = (
            f"\nA message was stopped: {what}\n\nFrom: <{envelope.sender}>\nTo: {names}\n"
            f"Client: {envelope.origin.client_name}[{envelope.origin.client_address}]\n"
            f"Log id: {scan.submission.queue_id}, mail id: {scan.mail_id}\nQuarantine: {quarantine or 'none'}\n"
        )
        header = (
            f"Date: {mail_date(now)}\nFrom: Content scanner <{rules.notice_sender or admin}>\n"
            f"Subject: {what} from <{envelope.sender}>\nTo: <{admin}>\nAuto-Submitted: auto-generated\n"
        )
        content = Content(header.encode("utf-8", "replace"), text.encode("utf-8", "replace"))
        notice = Envelope("", (Recipient(admin),))
        skip = Skip.HEADER_BODY_CHECKS | Skip.MILTERS
        await self._house.intake.take(Submission(notice, content, now, skip=skip))

    def _line(self, scan: Scan, quarantine: str, queued_as: str) -> lines.Scanned:
        envelope, decision, content = scan.submission.envelope, scan.decision, scan.submission.content
        found = _MESSAGE_ID.search(content.header)
        word = decision.kind.value
        done = [_FINAL[decision.destiny] + ("Inbound" if envelope.origin.source == "REMOTE" else "Internal")]
        return lines.Scanned(
            number=f"{self._log.process_id:05}-{next(self._numbers):02}",
            is_passed=decision.is_passed,
            word=f"{word} ({decision.detail})" if decision.kind in (Kind.INFECTED, Kind.BANNED) else word,
            done=[*done, "Quarantined"] if quarantine else done,
            client_address=envelope.origin.client_address,
            client_port=envelope.origin.client_port,
            sender=envelope.sender,
            recipients=[recipient.address for recipient in envelope.recipients],
            queue_id=envelope.origin.identifier or scan.submission.queue_id,
            message_id=found[1].decode("ascii", "replace") if found else "",
            mail_id=scan.mail_id,
            score=scan.findings.score,
            size=content.size,
            queued_as=queued_as,
            quarantine=quarantine,
            milliseconds=round((time.monotonic() - scan.started) * 1000),
        )


def pieces(content: Content) -> Iterator[bytes]:
    """A message in pieces of bounded size, a body in a file too."""
    yield content.header
    body = content.body
    if isinstance(body, bytes):
        for at in range(0, len(body), PIECE):
            yield body[at : at + PIECE]
        return
    yield from _file_pieces(body)


def _file_pieces(body: FilePart) -> Iterator[bytes]:
    left = body.length
    with open(body.path, "rb") as file:
        file.seek(body.offset)
        while left > 0:
            piece = file.read(min(PIECE, left))
            if not piece:
                raise OSError(f"{body.path}: shorter than recorded")
            left -= len(piece)
            yield piece


def _answer(queue_id: str, results: tuple[Result, ...]) -> tuple[Accepted | Refused, str]:
    """What the client hears: taken only where every recipient was; the worst answer otherwise."""
    for kind in (Deferred, object):
        for result in results:
            if isinstance(result.outcome, kind) and not isinstance(result.outcome, Sent):
                status = result.outcome.status
                code = 451 if isinstance(result.outcome, Deferred) else 554
                return Refused(Status(status.dsn, code, f"from the next hop: {status.text}")), ""
    text = results[0].outcome.status.text if results else ""
    found = _QUEUED_AS.search(text)
    return Accepted(queue_id), found[1] if found else ""
