"""The cleanup service: takes a submission through the steps and makes a message for the queue of it (cleanup(8))."""

from __future__ import annotations

import re
import traceback
from dataclasses import replace

from posthouse.cleanup import steps
from posthouse.cleanup.milter_session import end_session
from posthouse.cleanup.rules import Rules
from posthouse.cleanup.work import Work
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.errors import PermanentFailure, TemporaryFailure
from posthouse.mail.content import Content
from posthouse.mail.envelope import Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.mail.status import Status
from posthouse.services.house import House
from posthouse.services.intake import Discarded, Refused, Submission

_EIGHT_BIT = re.compile(rb"^content-transfer-encoding:[ \t]*8bit(?![a-z0-9])", re.IGNORECASE | re.MULTILINE)
_UNEXPECTED = Status("4.3.0", 451, "Error: queue file write error")


class CleanupService:
    """One cleanup service of master.cf. Implements services.intake.Cleanup."""

    def __init__(self, service: Service, settings: Settings, house: House) -> None:
        self.service, self._house = service, house
        self._log = house.log(settings, service.command or "cleanup")
        self._rules = Rules(settings, self._log)

    async def make_fit(self, submission: Submission) -> QueuedMessage | Discarded | Refused:
        """See Cleanup."""
        if submission.discard is not None:
            return Discarded(submission.queue_id)
        work = self._begin(submission)
        try:
            await steps.run(work)
        except (TemporaryFailure, PermanentFailure) as failed:
            work.drop_file()
            return Refused(failed.status, work.sender, _header_of(work))
        except Exception:
            work.drop_file()
            self._log.error(f"{submission.queue_id}: {' | '.join(traceback.format_exc().splitlines())}")
            return Refused(_UNEXPECTED)
        finally:
            if work.milters is not None:
                end_session(work)
        if work.discard:
            work.drop_file()
            return Discarded(submission.queue_id)
        return _finish(work)

    def _begin(self, submission: Submission) -> Work:
        rewriter = self._house.rewriter
        assert rewriter is not None
        envelope = submission.envelope
        context = envelope.rewrite_context
        if context == "remote" and not self._rules.remote_domain:
            context = ""
        return Work(
            submission,
            self._rules,
            rewriter,
            self._log,
            envelope.sender,
            submission.content.header,
            submission.content.body,
            context,
            hold=submission.hold is not None,
            redirect=submission.redirect,
            content_filter=envelope.content_filter,
        )


def _finish(work: Work) -> QueuedMessage:
    submission = work.submission
    header = _header_of(work)
    recipients = tuple(work.recipients)
    if work.redirect:  # mail that is redirected sees no filter
        recipients = (Recipient(work.redirect, original=_original(work)),)
        work.content_filter = ""
    envelope = replace(
        submission.envelope,
        sender=work.sender,
        recipients=recipients,
        content_filter="" if work.redirect else work.content_filter,  # as in Postfix, it goes past all filters
        expanded=tuple(work.expanded),
        encoding="8BITMIME" if _is_eight_bit(work, header) else submission.envelope.encoding,
        smtputf8=submission.envelope.smtputf8 or _needs_smtputf8(work, header),
        ret=work.envelope_changes.get("ret", submission.envelope.ret),
        envid=work.envelope_changes.get("envid", submission.envelope.envid),
    )
    content = Content(header, work.body)
    return QueuedMessage(
        submission.queue_id, submission.arrival, envelope, content, content.size, due=submission.arrival, hold=work.hold
    )


def _is_eight_bit(work: Work, header: bytes) -> bool:
    """Whether the header says so, where the client has not (detect_8bit_encoding_header)."""
    return work.rules.detects_eight_bit and _EIGHT_BIT.search(header) is not None


def _needs_smtputf8(work: Work, header: bytes) -> bool:
    """Whether addresses or header go beyond ASCII in mail of a kind that is searched for it."""
    if work.submission.mail_class not in work.rules.utf8_classes:
        return False
    addresses = (work.sender, *(recipient.address for recipient in work.recipients))
    return not (header.isascii() and all(map(str.isascii, addresses)))


def _header_of(work: Work) -> bytes:
    return work.header if work.fields is None else b"".join(field + b"\n" for field in work.fields)


def _original(work: Work) -> str:
    first = min(work.recipients, key=_domain_first)
    return first.original or first.address


def _domain_first(recipient: Recipient) -> tuple[str, str]:
    """The order in which qmgr takes recipients up."""
    local, _, domain = recipient.address.lower().rpartition("@")
    return domain, local
