"""Who is told what, and when: notices of failure, delay and success, copies for the postmaster (bounce(8), RFC 3461).

The notices come back fit for the queue; the queue stores them together with the change they tell of, so that none is
lost and none is sent twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from posthouse.bounce import report
from posthouse.bounce.templates import Template, expand, load_templates
from posthouse.config.settings import Settings
from posthouse.mail.address import quote_address
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Notify, Recipient, Trace
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Sent
from posthouse.mail.verp import verp_sender
from posthouse.maillog import bounce as lines
from posthouse.services.delivery import Result
from posthouse.services.house import House
from posthouse.services.intake import Refused, Skip, Submission
from posthouse.system.dates import mail_date

_UNFILTERED = Skip.HEADER_BODY_CHECKS | Skip.MILTERS | Skip.AUTOMATIC_BCC


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice to be made: to whom, from whom, about what. with_text: people get the template's words."""

    to: str
    sender: str
    template: Template
    message: QueuedMessage
    entries: list[report.Entry]
    with_body: bool
    to_postmaster: bool = False


class BounceService:
    """Implements posthouse.services.delivery.Bouncer."""

    def __init__(self, settings: Settings, house: House) -> None:
        self._settings, self._house = settings, house
        self._log = house.log(settings, "bounce")
        self._templates = load_templates(settings, self._log.warning)
        self._classes = {word.lower() for word in settings.items("notify_classes")}
        self._double_bounce = f"{settings.text('double_bounce_sender')}@{settings.text('myhostname')}"

    async def failure(self, message: QueuedMessage, results: list[Result]) -> list[QueuedMessage]:
        """Notices for the recipients in results, which have failed for good."""
        entries = [self._entry(message, result, "failed") for result in results]
        template, sender = self._templates["failure"], message.envelope.sender
        if sender.lower() == self._double_bounce.lower():
            self._log.warning(lines.discarded(message.queue_id))
            return []
        if not sender:
            return await self._to_postmaster(message, template, entries, "2bounce", with_body=True)
        told = [e for e in entries if self._wants(e.recipient, Notify.FAILURE)]
        made = []
        for group_sender, group in self._by_verp_sender(message, told):
            with_body = message.envelope.ret != "HDRS" and self._is_small(message)
            made += await self._make(Notice(group_sender, "", template, message, group, with_body))
        return made + await self._to_postmaster(message, template, entries, "bounce", with_body=False)

    async def delay(self, message: QueuedMessage) -> list[QueuedMessage]:
        """The warning that the recipients in message.deferred still wait."""
        until = mail_date(message.arrival + self._settings.seconds("maximal_queue_lifetime"))
        entries = [
            report.Entry(message.envelope.recipients[index], outcome, "delayed", until)
            for index, outcome in sorted(message.deferred.items())
        ]
        sender = message.envelope.sender
        if not sender or sender.lower() == self._double_bounce.lower():
            return []
        template = self._templates["delay"]
        told = [e for e in entries if self._wants(e.recipient, Notify.DELAY)]
        made = await self._make(Notice(sender, "", template, message, told, with_body=False)) if told else []
        return made + await self._to_postmaster(message, template, entries, "delay", with_body=False)

    async def success(self, message: QueuedMessage, results: list[Result]) -> list[QueuedMessage]:
        """NOTIFY=SUCCESS notices, and the reports that sendmail -bv and -v ask for."""
        trace, sender = message.envelope.trace, message.envelope.sender
        if trace & Trace.PROBE:
            if self._house.probed is not None:
                self._house.probed(message, results)
            return []
        if trace & (Trace.REPORT_ONLY | Trace.REPORT_DELIVERY):
            kind = "probe" if trace & Trace.REPORT_ONLY else ""
            told = [self._traced(message, result, kind) for result in results if not result.unlogged]
            if not kind:
                told += self._successes(message, results)
            template = self._templates["verify"]
        else:
            told, template = self._successes(message, results), self._templates["success"]
        if not sender and told:
            self._log.info(lines.nobody_to_tell(message.queue_id))
        if not sender or not told:
            return []
        return await self._make(Notice(sender, "", template, message, told, with_body=False))

    def _traced(self, message: QueuedMessage, result: Result, kind: str) -> report.Entry:
        return replace(self._entry(message, result, self._traced_action(result, kind)), traced=True)

    def _successes(self, message: QueuedMessage, results: list[Result]) -> list[report.Entry]:
        """Of the recipients whose NOTIFY asks for it."""
        return [
            self._entry(message, result, report.action_of(result.outcome))
            for result in results
            if self._asked_success(message, result)
        ]

    def _traced_action(self, result: Result, kind: str) -> str:
        if kind:
            return "deliverable" if isinstance(result.outcome, Sent) else "undeliverable"
        return report.action_of(result.outcome)

    def _asked_success(self, message: QueuedMessage, result: Result) -> bool:
        outcome = result.outcome
        if not isinstance(outcome, Sent):
            return False
        if message.warned and self._settings.flag("confirm_delay_cleared"):
            return True
        return bool(self._recipient(message, result).notify & Notify.SUCCESS) and not outcome.dsn_passed

    def _recipient(self, message: QueuedMessage, result: Result) -> Recipient:
        return result.logged_recipient or message.envelope.recipients[result.index]

    def _entry(self, message: QueuedMessage, result: Result, action: str) -> report.Entry:
        return report.Entry(self._recipient(message, result), result.outcome, action)

    def _wants(self, recipient: Recipient, kind: Notify) -> bool:
        return recipient.notify == Notify.DEFAULT or bool(recipient.notify & kind)

    def _is_small(self, message: QueuedMessage) -> bool:
        limit = self._settings.integer("bounce_size_limit")
        return not limit or message.size <= limit

    def _by_verp_sender(
        self, message: QueuedMessage, entries: list[report.Entry]
    ) -> list[tuple[str, list[report.Entry]]]:
        """Mail with VERP comes back for each recipient on its own, to that recipient's envelope sender."""
        sender, delimiters = message.envelope.sender, message.envelope.verp
        if not entries:
            return []
        if not delimiters or self._settings.flag("disable_verp_bounces"):
            return [(sender, entries)]
        return [(verp_sender(delimiters, sender, e.recipient.original or e.recipient.address), [e]) for e in entries]

    async def _to_postmaster(
        self, message: QueuedMessage, template: Template, entries: list[report.Entry], wanted: str, *, with_body: bool
    ) -> list[QueuedMessage]:
        if wanted not in self._classes or not entries:
            return []
        recipient = self._settings.text(f"{wanted}_notice_recipient")
        if message.envelope.sender.lower() == self._double_bounce.lower():
            return []
        whole = with_body and self._is_small(message)
        return await self._make(Notice(recipient, self._double_bounce, template, message, entries, whole, True))

    async def _make(self, notice: Notice) -> list[QueuedMessage]:
        """The notice through cleanup, as it shall stand in the queue; [] where cleanup threw it away."""
        intake, cleanup = self._house.intake, self._house.cleanups.get("cleanup")
        if intake is None or cleanup is None or not notice.entries:
            return []
        queue_id, now = intake.new_queue_id(), time.time()
        submission = Submission(
            envelope=Envelope(
                notice.sender,
                (Recipient(notice.to),),
                encoding="8BITMIME",
                smtputf8=notice.message.envelope.smtputf8,
                rewrite_context="local",
            ),
            content=Content(self._header(notice, queue_id, now), b"\n" + self._body(notice)),
            arrival=now,
            queue_id=queue_id,
            skip=self._skips(),
        )
        made = await cleanup.make_fit(submission)
        if isinstance(made, Refused):
            # Differs from Postfix, which tries the original again: what a filter refuses must not end in silence.
            self._log.warning(f"{notice.message.queue_id}: notice goes unfiltered: {made.status.text}")
            made = await cleanup.make_fit(replace(submission, skip=_UNFILTERED))
        if not isinstance(made, QueuedMessage):
            return []
        kind = notice.template.name
        self._log.info(lines.notification(notice.message.queue_id, kind, queue_id, to_postmaster=notice.to_postmaster))
        return [made]

    def _skips(self) -> Skip:
        """internal_mail_filter_classes says which of the house's own mail is looked into."""
        if "bounce" in self._settings.items("internal_mail_filter_classes"):
            return Skip.AUTOMATIC_BCC
        return _UNFILTERED

    def _boundary(self, notice: Notice) -> str:
        return f"{notice.message.queue_id}.{int(notice.message.arrival)}/{self._settings.text('myhostname')}"

    def _header(self, notice: Notice, queue_id: str, now: float) -> bytes:
        template, host, date = notice.template, self._settings.text("myhostname"), mail_date(now)
        subject = template.postmaster_subject if notice.to_postmaster else template.subject
        fields = [
            f"Received: by {host} ({self._settings.text('mail_name')})\n\tid {queue_id}; {date}",
            f"Date: {date}",
            f"From: {self._from(template)}",
            f"Subject: {subject}",
            f"To: {quote_address(notice.to)}",
            *self._thread_fields(notice),
            f"Auto-Submitted: {'auto-generated' if notice.to_postmaster else 'auto-replied'}",
            "MIME-Version: 1.0",
            f'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="{self._boundary(notice)}"',
            "Content-Transfer-Encoding: 8bit",
        ]
        return ("\n".join(fields) + "\n").encode("utf-8", "surrogateescape")

    def _from(self, template: Template) -> str:
        """The template's sender in the form of header_from_format."""
        address, _, comment = template.sender.partition(" (")
        if self._settings.text("header_from_format").lower() == "obsolete" or not comment.endswith(")"):
            return template.sender
        return f"{comment[:-1]} <{address}>"

    def _thread_fields(self, notice: Notice) -> list[str]:
        """enable_threaded_bounces: the notice answers the original."""
        if not self._settings.flag("enable_threaded_bounces"):
            return []
        for line in notice.message.content.header.split(b"\n"):
            if line.lower().startswith(b"message-id:"):
                found = line.split(b":", 1)[1].strip().decode("utf-8", "surrogateescape")
                return [f"References: {found}", f"In-Reply-To: {found}"]
        return []

    def _body(self, notice: Notice) -> bytes:
        message, template = notice.message, notice.template
        sender = message.envelope.sender or f"MAILER-DAEMON@{self._settings.text('myorigin')}"
        origin = report.Origin(
            message.queue_id,
            self._settings.text("myhostname"),
            sender,
            mail_date(message.arrival),
            message.envelope.envid,
            message.envelope.smtputf8,
            self._settings.text("mail_name"),
        )
        text = "" if notice.to_postmaster else expand(template, self._settings, self._log.warning)
        charset = template.charset
        if charset.lower() == "us-ascii" and self._settings.flag("smtputf8_enable"):
            charset = "utf-8"
        returned = self._returned(notice, sender)
        return report.body(self._boundary(notice), text, charset, origin, notice.entries, returned)

    def _returned(self, notice: Notice, sender: str) -> report.Returned:
        content = notice.message.content
        words = "Undelivered Message" if notice.template.name in ("failure", "delay") else "Message"
        text = f"Return-Path: <{quote_address(sender)}>\n".encode("utf-8", "surrogateescape") + content.header
        if not notice.with_body:
            return report.Returned(f"{words} Headers", full=False, text=text)
        return report.Returned(words, full=True, text=text + _read(content.body))


def _read(body: bytes | FilePart) -> bytes:
    """The body; one in a file is small enough by bounce_size_limit, or wanted whole by bounce_size_limit = 0."""
    if isinstance(body, bytes):
        return body
    with open(body.path, "rb") as file:
        file.seek(body.offset)
        return file.read(body.length)
