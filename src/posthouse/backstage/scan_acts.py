"""What a scanner does about a message beyond its answer: keeps it aside, bounces it, tells an administrator, logs.

The scanner as a mail server and the scanner as a milter share it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed, TemporaryFailure
from posthouse.filters.scanner import notices
from posthouse.filters.scanner.examine import Verdicts
from posthouse.filters.scanner.judge import GRAVITY, Decision, Destiny, Kind
from posthouse.filters.scanner.rules import ScanRules
from posthouse.filters.scanner.tagging import additions
from posthouse.lookup.network_set import BadNetwork, NetworkSet, address_bits, parse_network
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Origin, Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Bounced
from posthouse.mail.status import Status
from posthouse.maillog import amavis as lines
from posthouse.services.delivery import Result
from posthouse.services.house import House
from posthouse.services.intake import Refused, Skip, Submission
from posthouse.services.privileged import Identity, MailFile
from posthouse.services.resolving import AddressClass
from posthouse.system.dates import mail_date
from posthouse.system.users import find_user

NOT_KEPT = Status("4.3.0", 451, "Error: quarantine is not available, try again later")
_NOT_BOUNCED = Status("4.3.0", 451, "Error: the sender cannot be told, try again later")
_MESSAGE_ID = re.compile(rb"^Message-ID:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_SKIP = Skip.HEADER_BODY_CHECKS | Skip.MILTERS | Skip.AUTOMATIC_BCC | Skip.ADDRESS_MAPPINGS
_PREFIXES = {
    Kind.INFECTED: "virus", Kind.BANNED: "banned", Kind.SPAM: "spam", Kind.BAD_HEADER: "badh",
    Kind.UNCHECKED: "unchecked",
}  # fmt: skip
_BRACES = str.maketrans("{}", "()")  # they mean something else in the line
_BLOCKED = {Destiny.REJECT: "Rejected", Destiny.BOUNCE: "Bounced", Destiny.DISCARD: "Discarded"}


@dataclass(frozen=True, slots=True)
class Scan:
    """One message on its way through. started is of the monotonic clock; is_own: from a client of this house."""

    number: str
    mail_id: str
    started: float
    queue_id: str
    arrival: float
    envelope: Envelope
    content: Content
    is_own: bool = False

    @property
    def reference(self) -> str:
        return f"{self.number}/{self.mail_id}"


def gravest(decisions: Sequence[Decision]) -> Decision:
    """The one that names the message in the log."""
    return min(decisions, key=lambda decision: GRAVITY[decision.kind])


class ScanActs:
    """Made once for a scan service. Raises ConfigError for networks that are none."""

    def __init__(self, rules: ScanRules, settings: Settings, house: House) -> None:
        self.rules, self._settings, self._house = rules, settings, house
        self.log = house.log(settings, "amavis")
        self._host = settings.text("myhostname")
        self._numbers = count(1)
        self._networks = NetworkSet()
        for word in rules.networks if rules.networks is not None else settings.items("mynetworks"):
            try:
                self._networks.add(parse_network(word))
            except BadNetwork:
                continue  # a table: policy asks those, here it only tells a direction in the log
        for beyond in rules.beyond:
            self.log.warning(beyond.text)

    def number(self) -> str:
        """The next number for the log."""
        return f"{self.log.process_id:05}-{next(self._numbers):02}"

    def is_own(self, origin: Origin) -> bool:
        """Whether a message comes from a client of this house."""
        if origin.source == "LOCAL" or origin.sasl_username:
            return True
        bits = address_bits(origin.client_address.removeprefix("IPv6:")) if origin.identifier else None
        return bits is not None and self._networks.contains(*bits)

    async def local(self, envelope: Envelope) -> list[bool]:
        """Of each recipient, whether it is this house's: by amavisd.conf, or by main.cf's own domains."""
        recipients = self.rules.recipients
        if recipients.knows_local:
            return [recipients.is_local(recipient.address) for recipient in envelope.recipients]
        rewriter = self._house.rewriter
        if rewriter is None:
            return [True] * len(envelope.recipients)
        known: dict[str, bool] = {}
        for recipient in envelope.recipients:
            domain = recipient.address.rpartition("@")[2].lower()
            if domain not in known:
                resolved = await rewriter.resolve(envelope.sender, recipient.address)
                if resolved.failed:
                    raise LookupFailed(domain, "it is not known now whether the domain is local")
                known[domain] = resolved.address_class is not AddressClass.DEFAULT
        return [known[recipient.address.rpartition("@")[2].lower()] for recipient in envelope.recipients]

    # -- quarantine

    async def quarantine(self, scan: Scan, verdicts: Verdicts) -> str:
        """Keep the message where its kind is kept; "" where it is not. Raises TemporaryFailure."""
        worst = gravest(verdicts.decisions)
        place = self.rules.quarantines.get(worst.kind, "")
        cutoff = worst.personal.levels.quarantine_cutoff
        is_beyond = worst.kind is Kind.SPAM and cutoff is not None and worst.score is not None and worst.score >= cutoff
        if not place or is_beyond:
            if verdicts.findings.aside:
                raise TemporaryFailure(replace(NOT_KEPT, reason=f"no quarantine, and {verdicts.findings.aside}"))
            return ""
        marks = replace(self.rules.marks, quarantine_id=scan.mail_id, scanned_by="")
        head = notices.quarantine_head(scan.envelope, verdicts.decisions, additions(verdicts.findings, worst, marks))
        if "@" in place:
            await self._mail_aside(scan, place, head)
        else:
            await self._write_aside(scan, place, head)
        return f"{_PREFIXES[worst.kind]}-{scan.mail_id}"

    async def _write_aside(self, scan: Scan, directory: str, head: bytes) -> None:
        """Into a Maildir of mail_owner's; returns when it is durable there."""
        owner = find_user(self._settings.text("mail_owner"))
        if owner is None or self._house.privileged is None:
            raise TemporaryFailure(replace(NOT_KEPT, reason="there is no agent host"))
        identity = Identity(owner.uid, owner.gid, owner.name)
        file = MailFile(identity, f"{directory.rstrip('/')}/", head, scan.content)
        trouble = await self._house.privileged.write_maildir(file)
        if trouble is not None:
            raise TemporaryFailure(replace(NOT_KEPT, reason=f"{directory}: {trouble.text}"))

    async def _mail_aside(self, scan: Scan, address: str, head: bytes) -> None:
        content = Content(head + scan.content.header, self._own_body(scan.content.body))
        sender = self.rules.quarantine_sender
        sender = scan.envelope.sender if sender is None else sender
        await self._send(Envelope(sender, (Recipient(address),)), content, NOT_KEPT)

    def _own_body(self, body: bytes | FilePart) -> bytes | FilePart:
        """A file gets a second name, which is another message's. Raises TemporaryFailure."""
        if isinstance(body, bytes) or self._house.intake is None:
            return body
        path = os.path.join(os.path.dirname(body.path), self._house.intake.new_queue_id())
        try:
            os.link(body.path, path)
        except OSError as error:
            raise TemporaryFailure(replace(NOT_KEPT, reason=f"{path}: {error.strerror}")) from error
        return replace(body, path=path)

    async def _send(self, envelope: Envelope, content: Content, trouble: Status) -> None:
        """New mail of the scanner's own, which nobody scans. Raises TemporaryFailure."""
        if self._house.intake is None:
            raise RuntimeError("the house has no intake")
        answer = await self._house.intake.take(Submission(envelope, content, time.time(), skip=_SKIP))
        if isinstance(answer, Refused):
            if isinstance(content.body, FilePart):
                os.unlink(content.body.path)
            raise TemporaryFailure(replace(trouble, reason=answer.status.text))

    # -- the queue, the sender, the administrator

    async def queue_for(self, scan: Scan, indexes: Sequence[int], content: Content) -> None:
        """Keep the message for recipients whose turn with the next hop comes later. Raises TemporaryFailure."""
        if self._house.intake is None:
            raise RuntimeError("the house has no intake")
        recipients = tuple(scan.envelope.recipients[index] for index in indexes)
        way = f"{self.rules.transport}:{self.rules.forward}"
        envelope = replace(scan.envelope, recipients=recipients, content_filter=way)
        kept = Content(content.header, self._own_body(content.body))
        queue_id = self._house.intake.new_queue_id()
        answer = await self._house.intake.keep(QueuedMessage(queue_id, scan.arrival, envelope, kept, kept.size))
        if isinstance(answer, Refused):
            raise TemporaryFailure(answer.status)
        self.log.info(lines.note(scan.number, f"{len(recipients)} recipients wait for {way} as {queue_id}"))

    async def bounce(self, scan: Scan, failed: Sequence[tuple[int, Status]]) -> None:
        """Tell the sender, in a notice of this house's. Raises TemporaryFailure."""
        if not failed or not scan.envelope.sender:
            return
        if self._house.bouncer is None or self._house.intake is None:
            raise RuntimeError("the house has no bouncer")
        message = QueuedMessage(scan.queue_id, scan.arrival, scan.envelope, scan.content, scan.content.size)
        results = [Result(index, Bounced(status)) for index, status in failed]
        for notice in await self._house.bouncer.failure(message, results):
            answer = await self._house.intake.keep(notice)
            if isinstance(answer, Refused):
                raise TemporaryFailure(replace(_NOT_BOUNCED, reason=answer.status.text))

    async def tell_admins(self, scan: Scan, verdicts: Verdicts, quarantine: str) -> None:
        """A short mail to $virus_admin and its like; mail is not held up where that cannot be sent."""
        worst = gravest(verdicts.decisions)
        lookup = self.rules.admins.get(worst.kind)
        if lookup is None or not lookup.tables:
            return
        found = (lookup.find(decision.recipient.address) for decision in verdicts.decisions)
        about = notices.Subject(
            scan.envelope, scan.content, verdicts.decisions, verdicts.findings, scan.reference, quarantine
        )
        for number, admin in enumerate(dict.fromkeys(str(address) for address in found if address)):
            sender = self.rules.notice_senders.get(worst.kind) or f"postmaster@{self._host}"
            letter = notices.Letter(sender, admin, mail_date(time.time()), self._host, f"{scan.mail_id}{number or ''}")
            content = notices.admin_notice(about, worst.kind, letter)
            try:
                await self._send(Envelope("", (Recipient(admin),)), content, _NOT_BOUNCED)
            except TemporaryFailure as failed:
                self.log.warning(lines.note(scan.number, f"{admin} could not be told: {failed.status.reason}"))

    # -- the log

    def tell(self, scan: Scan, verdicts: Verdicts, fate: Fate) -> None:
        """The lines of a message that was dealt with."""
        if verdicts.findings.unchecked or verdicts.findings.aside:
            why = verdicts.findings.aside or verdicts.findings.unchecked
            self.log.warning(lines.note(scan.number, f"{scan.queue_id}: {why}"))
        for text in verdicts.findings.notes:
            self.log.info(lines.note(scan.number, text))
        done = [*_words(verdicts.decisions, scan, fate), *(["Quarantined"] if fate.quarantine else [])]
        for is_passed in (True, False):
            told = [decision for decision in verdicts.decisions if decision.is_passed is is_passed]
            if told:
                self.log.info(lines.result(self._line(scan, told, done, fate)))

    def _line(self, scan: Scan, told: Sequence[Decision], done: Sequence[str], fate: Fate) -> lines.Scanned:
        worst, origin = gravest(told), scan.envelope.origin
        found = _MESSAGE_ID.search(scan.content.header)
        has_client = bool(origin.identifier) or origin.source == "LOCAL" or not _is_loopback(origin.client_address)
        return lines.Scanned(
            number=scan.number,
            is_passed=worst.is_passed,
            word=_word(worst),
            done=done,
            client_address=origin.client_address if has_client else "",
            client_port=origin.client_port,
            sender=scan.envelope.sender,
            recipients=[decision.recipient.address for decision in told],
            queue_id=origin.identifier or scan.queue_id,
            message_id=found[1].decode("utf-8", "replace") if found else "",
            mail_id=scan.mail_id,
            score=max((d.score for d in told if d.score is not None), default=None),
            size=scan.content.size,
            queued_as=fate.queued_as if worst.is_passed else "",
            quarantine=fate.quarantine,
            milliseconds=round((time.monotonic() - scan.started) * 1000),
        )


@dataclass(frozen=True, slots=True)
class Fate:
    """How it ended: under which id the next hop queued it, what it is kept as, and who was told that it was refused."""

    queued_as: str = ""
    quarantine: str = ""
    rejects_bounce: bool = False


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in ("::1", "IPv6:::1", "")


def _word(decision: Decision) -> str:
    match decision.kind:
        case Kind.INFECTED | Kind.BANNED:
            return f"{decision.kind.value} ({decision.detail})".translate(_BRACES)
        case Kind.BAD_HEADER:
            return f"BAD-HEADER-{decision.fault}"
        case _:
            return str(decision.kind.value)


def _words(decisions: Sequence[Decision], scan: Scan, fate: Fate) -> list[str]:
    """What was done, each once: the blocked ones first."""
    words: dict[str, None] = {}
    for decision in sorted(decisions, key=lambda decision: decision.is_passed):
        to = decision.personal.is_local
        direction = ("Internal" if to else "Outbound") if scan.is_own else ("Inbound" if to else "OpenRelay")
        words[_done(decision, fate) + direction] = None
    return list(words)


def _done(decision: Decision, fate: Fate) -> str:
    if decision.is_passed:
        is_tagged = decision.kind in (Kind.INFECTED, Kind.BANNED) or (decision.marked and decision.personal.is_local)
        return "RelayedTagged" if is_tagged else "Relayed"
    if decision.destiny is Destiny.BOUNCE or (decision.destiny is Destiny.REJECT and fate.rejects_bounce):
        return "Bounced" if decision.bounces else "NoBounce"
    return str(_BLOCKED[decision.destiny])


def wording(decision: Decision) -> str:
    """What the client is told of a message that was stopped."""
    match decision.kind:
        case Kind.INFECTED | Kind.BANNED:
            return f"{decision.kind.value}: {decision.detail}"
        case Kind.SPAM:
            return "spam"
        case Kind.BAD_HEADER:
            return "BAD HEADER"
        case _:
            return f"UNCHECKED: {decision.detail}"


def refusal(decision: Decision, number: str) -> Status:
    """The 5xx of D_REJECT."""
    dsn = "5.6.0" if decision.kind is Kind.BAD_HEADER else "5.7.0"
    return Status(dsn, 554, _ascii(f"Reject, id={number} - {wording(decision)}"))


def _ascii(text: str) -> str:
    """A reply's text has to be ASCII, and not too long."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:400]
