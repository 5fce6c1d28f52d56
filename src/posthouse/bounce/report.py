"""A delivery status notification as text (RFC 3462 multipart/report, RFC 3464 fields, RFC 6533 for SMTPUTF8)."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.mail.address import quote_address
from posthouse.mail.envelope import Recipient
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Sent

LINE_LENGTH = 79
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient in a report. action is RFC 3464's ("failed", "delayed", "delivered", "relayed", "expanded") or, for
    sendmail -bv, "deliverable" or "undeliverable". retry_until is a mail date or "". traced: -bv or -v asked for it.
    """

    recipient: Recipient
    outcome: Outcome
    action: str
    retry_until: str = ""
    traced: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """The message that the report is about. dates are mail dates; size counts the original's bytes."""

    queue_id: str
    reporting_mta: str
    sender: str
    arrival_date: str
    envid: str = ""
    smtputf8: bool = False
    mail_name: str = "Postfix"


@dataclass(frozen=True, slots=True)
class Returned:
    """The last part: what of the original goes back. full: header and body, else the header alone."""

    description: str
    full: bool
    text: bytes


def wrap(text: str) -> str:
    """The words of a line in lines of at most 79 columns, those after the first indented by four."""
    lines: list[str] = []
    line = ""
    for word in text.rstrip(" ").split(" "):
        if line.strip() and len(line) + 1 + len(word) > LINE_LENGTH:
            lines.append(line)
            line = INDENT + word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def printable(text: str) -> str:
    """Without control characters, which have no business in a report."""
    return "".join(char if char.isprintable() else "?" for char in text)


def action_of(outcome: Outcome) -> str:
    """RFC 3464's action for what happened."""
    match outcome:
        case Bounced():
            return "failed"
        case Deferred():
            return "delayed"
        case Sent(expanded=True):
            return "expanded"
        case Sent(remote_mta=""):
            return "delivered"
        case Sent():
            return "relayed"


def reason_of(entry: Entry) -> str:
    """What the reader is told about a recipient; success names the way it went."""
    text, relay = entry.outcome.status.text, entry.outcome.relay
    is_plain = entry.action in ("failed", "delayed") and not entry.traced
    return text if is_plain or relay == "none" else f"delivery via {relay}: {text}"


def notice_line(entry: Entry) -> str:
    """The paragraph about one recipient in the text for people."""
    recipient = entry.recipient
    name = f"<{quote_address(recipient.address)}>" if recipient.address else '<""@>'
    if recipient.original and recipient.original.lower() != recipient.address.lower():
        name += f" (expanded from <{quote_address(recipient.original)}>)"
    return wrap(printable(f"{name}: {reason_of(entry)}".rstrip()))


def status_fields(entry: Entry, *, smtputf8: bool, mail_name: str = "Postfix") -> str:
    """The fields about one recipient for programs (RFC 3464, 2.3)."""
    recipient, outcome = entry.recipient, entry.outcome
    address_type = "utf-8" if smtputf8 and not recipient.address.isascii() else "rfc822"
    original = recipient.orcpt or (f"rfc822;{recipient.original}" if recipient.original else "")
    lines = [f"Final-Recipient: {address_type}; {quote_address(recipient.address)}"]
    if original:
        lines.append(f"Original-Recipient: {printable(original)}")
    lines += [f"Action: {entry.action}", f"Status: {outcome.status.dsn}"]
    if outcome.remote_mta:
        lines.append(f"Remote-MTA: dns; {outcome.remote_mta}")
    lines.append(wrap(f"Diagnostic-Code: {printable(_diagnostic(entry, mail_name))}"))
    if entry.retry_until:
        lines.append(f"Will-Retry-Until: {entry.retry_until}")
    return "\n".join(lines) + "\n"


def _status(entry: Entry, origin: Origin) -> str:
    return status_fields(entry, smtputf8=origin.smtputf8, mail_name=origin.mail_name)


def _diagnostic(entry: Entry, mail_name: str) -> str:
    outcome = entry.outcome
    if isinstance(outcome, Sent):
        return f"smtp; {outcome.status.text}" if outcome.remote_mta else f"X-{mail_name}; {reason_of(entry)}"
    return outcome.diagnostic or f"X-{mail_name}; {reason_of(entry)}"


def message_fields(origin: Origin) -> str:
    """The fields about the message (RFC 3464, 2.2)."""
    sender_type = "utf-8" if origin.smtputf8 and not origin.sender.isascii() else "rfc822"
    lines = [f"Reporting-MTA: dns; {origin.reporting_mta}"]
    if origin.envid:
        lines.append(f"Original-Envelope-Id: {printable(origin.envid)}")
    lines += [
        f"X-{origin.mail_name}-Queue-ID: {origin.queue_id}",
        f"X-{origin.mail_name}-Sender: {sender_type}; {quote_address(origin.sender)}",
        f"Arrival-Date: {origin.arrival_date}",
    ]
    return "\n".join(lines) + "\n"


def body(boundary: str, text: str, charset: str, origin: Origin, entries: list[Entry], returned: Returned) -> bytes:
    """The three parts of the report between their boundaries. text opens the notice ("" for postmaster copies)."""
    family = "global" if origin.smtputf8 else "rfc822"
    status_type = "message/global-delivery-status" if origin.smtputf8 else "message/delivery-status"
    if returned.full:
        returned_type = f"message/{family}"
    else:
        returned_type = "message/global-headers" if origin.smtputf8 else "text/rfc822-headers"
    encoding = "Content-Transfer-Encoding: 8bit\n" if origin.smtputf8 else ""
    notice = "".join(f"{notice_line(entry)}\n\n" for entry in entries)
    status = "\n".join([message_fields(origin), *(_status(e, origin) for e in entries)])
    head = (
        f"This is a MIME-encapsulated message.\n\n--{boundary}\n"
        f"Content-Description: Notification\nContent-Type: text/plain; charset={charset}\n"
        f"Content-Transfer-Encoding: 8bit\n\n{text}{chr(10) if text else ''}{notice}"
        f"--{boundary}\nContent-Description: Delivery report\nContent-Type: {status_type}\n{encoding}\n{status}\n"
        f"--{boundary}\nContent-Description: {returned.description}\nContent-Type: {returned_type}\n"
        f"Content-Transfer-Encoding: 8bit\n\n"
    )
    return head.encode("utf-8", "surrogateescape") + returned.text + f"\n--{boundary}--\n".encode()
