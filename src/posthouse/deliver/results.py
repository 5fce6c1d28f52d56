"""What delivery agents share: results for all recipients of a request, and the fields they put before a message."""

from __future__ import annotations

import time

from posthouse.mail.address import quote_address
from posthouse.mail.envelope import Recipient, Trace
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Sent
from posthouse.mail.status import Status
from posthouse.services.delivery import DeliveryRequest, Report, Result


def is_question(request: DeliveryRequest) -> bool:
    """Whether nothing shall be delivered: sendmail -bv, or a probe of address verification."""
    return bool(request.message.envelope.trace & (Trace.REPORT_ONLY | Trace.PROBE))


def failed(status: Status, relay: str) -> Bounced | Deferred:
    """Deferred or bounced, as the status says."""
    return Bounced(status, relay) if status.is_permanent else Deferred(status, relay)


def same_for_all(request: DeliveryRequest, outcome: Outcome) -> Report:
    """One outcome for each recipient of the request."""
    now = time.time()
    return Report(tuple(Result(target.index, outcome, finished=now) for target in request.targets))


def would_deliver(text: str, relay: str) -> Sent:
    """The answer to a question: nothing was delivered, this is how it would be."""
    return Sent(Status("2.0.0", 0, text), relay, deliverable=True)


def delivered(text: str, relay: str) -> Sent:
    """A success with its words for the log."""
    return Sent(Status("2.0.0", 0, text), relay)


def sender_field(sender: str) -> bytes:
    """Return-Path, as final delivery writes it (RFC 5321, 4.4)."""
    return f"Return-Path: <{quote_address(sender)}>\n".encode("utf-8", "surrogateescape")


def recipient_fields(recipient: Recipient, delivered_to: str, *, with_original: bool = True) -> bytes:
    """X-Original-To (enable_original_recipient) and Delivered-To; "" leaves the second out."""
    original = recipient.original or recipient.address
    fields = f"X-Original-To: {quote_address(original)}\n" if with_original else ""
    if delivered_to:
        fields += f"Delivered-To: {quote_address(delivered_to)}\n"
    return fields.encode("utf-8", "surrogateescape")


def from_line(sender: str, moment: float) -> bytes:
    """The "From sender time_stamp" line of mbox files."""
    stamp = time.asctime(time.localtime(moment))
    name = quote_address(sender) if sender else "MAILER-DAEMON"
    return f"From {name}  {stamp}\n".encode("utf-8", "surrogateescape")
