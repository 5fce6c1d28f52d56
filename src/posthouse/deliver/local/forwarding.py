"""Sends mail on as a new message, for addresses that an alias or a .forward file names elsewhere (local(8))."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from posthouse.deliver.local.attributes import Attributes, Progress, without_success
from posthouse.deliver.local.context import Local, is_question
from posthouse.deliver.results import failed
from posthouse.mail.address import quote_address
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Recipient
from posthouse.mail.outcome import Outcome, Sent
from posthouse.mail.status import Status
from posthouse.services.delivery import Result
from posthouse.services.intake import Accepted, Refused, Skip, Submission
from posthouse.system.dates import mail_date
from posthouse.system.files import give_second_name

_UNABLE = Status("4.3.0", 0, "unable to forward message")


def note_forward(local: Local, progress: Progress, attributes: Attributes) -> Outcome | None:
    """Remember an address to forward to; an outcome only where that is all there is to say."""
    if not progress.is_first(f"indirect {attributes.recipient.address}"):
        return None
    if is_question(progress):
        return local.would(f"forwards to {attributes.recipient.address}")
    recipient = attributes.recipient
    if attributes.sender == progress.request.message.envelope.sender:
        recipient = replace(recipient, notify=without_success(recipient.notify))
    else:
        # A list with an owner is a new start: who mails to it gets no notices of its members (RFC 3461, 5.2.7.1).
        recipient = Recipient(recipient.address)
    progress.forwards.setdefault((attributes.sender, attributes.delivered), []).append(recipient)
    return None


async def send_forwards(local: Local, progress: Progress) -> None:
    """Make the new messages, one for each sender and Delivered-To; their results are those of the recipient."""
    top = replace(progress.top, notify=without_success(progress.top.notify)) if progress.top.notify else progress.top
    for (sender, delivered), recipients in progress.forwards.items():
        outcome = await _send(local, progress, sender, delivered, recipients)
        progress.results.append(Result(progress.index, outcome, finished=time.time(), logged_recipient=top))
    progress.forwards.clear()


async def _send(local: Local, progress: Progress, sender: str, delivered: str, recipients: list[Recipient]) -> Outcome:
    intake = local.house.intake
    if intake is None:
        return failed(_UNABLE, local.relay)
    message, now = progress.request.message, time.time()
    queue_id = intake.new_queue_id()
    fields = f"Received: by {local.rules.hostname} ({local.rules.mail_name})\n\tid {queue_id}; {mail_date(now)}\n"
    if "forward" in local.rules.delivered_header:
        fields += f"Delivered-To: {quote_address(delivered)}\n"
    envelope = replace(message.envelope, sender=sender, recipients=tuple(recipients), content_filter="", verp="")
    if sender != message.envelope.sender:
        envelope = replace(envelope, envid="", ret="")
    try:
        body = _own_body(message.content.body, queue_id)
    except OSError:
        return failed(_UNABLE, local.relay)
    content = Content(fields.encode("utf-8", "surrogateescape") + message.content.header, body)
    skip = Skip.HEADER_BODY_CHECKS | Skip.MILTERS | Skip.AUTOMATIC_BCC | Skip.UNKNOWN_RECIPIENT_CHECKS
    submission = Submission(envelope, content, now, queue_id, skip=skip, mail_class="forward")
    answer = await intake.take(submission)
    if not isinstance(answer, Accepted) and isinstance(body, FilePart):
        os.unlink(body.path)
    if isinstance(answer, Refused):
        return failed(answer.status, local.relay)
    # Who asked for a notice of success has heard of the alias; the rest is the new message's.
    return Sent(Status("2.0.0", 0, f"forwarded as {answer.queue_id}"), local.relay, dsn_passed=True)


def _own_body(body: bytes | FilePart, name: str) -> bytes | FilePart:
    """The body for another message: a file gets a second name, for each message removes its own. Raises OSError."""
    return replace(body, path=give_second_name(body.path, name)) if isinstance(body, FilePart) else body
