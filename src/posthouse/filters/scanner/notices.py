"""The mail that tells an administrator what the scanner found ($virus_admin), and the head of what is kept aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.filters.scanner.judge import Decision, Findings, Kind
from posthouse.filters.scanner.tagging import Additions
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope

_SUBJECTS = {
    Kind.INFECTED: "VIRUS ({}) in mail FROM", Kind.BANNED: "BANNED contents ({}) in mail FROM",
    Kind.SPAM: "Spam FROM", Kind.BAD_HEADER: "INVALID HEADER in mail FROM",
    Kind.UNCHECKED: "UNCHECKED contents in mail FROM",
}  # fmt: skip
_HEADER_SHOWN = 16_384  # bytes of the original's header in a notice


@dataclass(frozen=True, slots=True)
class Subject:
    """The message that a notice is about. reference is "01234-05/mail_id"; quarantine "" where it was not kept."""

    envelope: Envelope
    content: Content
    decisions: Sequence[Decision]
    findings: Findings
    reference: str
    quarantine: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """Who writes to whom, when (a mail date); host is the scanner's name, unique makes the Message-ID."""

    sender: str
    to: str
    date: str
    host: str
    unique: str


def admin_notice(about: Subject, kind: Kind, letter: Letter) -> Content:
    """The notice, with the header of the original as its second part."""
    client = _client(about.envelope)
    subject = f"{_SUBJECTS[kind].format(_one_line(about.findings.detail(kind), 60))} {client} <{about.envelope.sender}>"
    boundary = f"=_scan_{letter.unique}"
    header = (
        f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n'
        f'From: "Content-filter at {letter.host}" <{letter.sender}>\nDate: {letter.date}\n'
        f"Subject: {_one_line(subject, 200)}\nTo: <{letter.to}>\nMessage-ID: <VA{letter.unique}@{letter.host}>\n"
        "Auto-Submitted: auto-generated\n"
    )
    text = "\n".join(_text(about, kind, client))
    original = about.content.header[:_HEADER_SHOWN].decode("utf-8", "replace")
    body = (
        f'\n--{boundary}\nContent-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: 8bit\n\n{text}\n'
        f"--{boundary}\nContent-Type: text/rfc822-headers\nContent-Transfer-Encoding: 8bit\n"
        f"Content-Description: Message header section\n\n{original}\n--{boundary}--\n"
    )
    return Content(header.encode("utf-8", "replace"), body.encode("utf-8", "replace"))


def _client(envelope: Envelope) -> str:
    origin = envelope.origin
    if not origin.client_address:
        return ""
    return f"[{origin.client_address}]" + (f":{origin.client_port}" if origin.client_port else "")


def _text(about: Subject, kind: Kind, client: str) -> list[str]:
    detail = _one_line(about.findings.detail(kind), 500)
    lines = [f"A virus was found: {detail}" if kind is Kind.INFECTED else f"Found: {kind.value} {detail}".rstrip(), ""]
    lines += [f"Internal reference code for the message is {about.reference}", ""]
    if client:
        lines += [f"First upstream SMTP client IP address: {client} {about.envelope.origin.client_name}", ""]
    lines += [f"Return-Path: <{_one_line(about.envelope.sender, 300)}>"]
    scores = {decision.score for decision in about.decisions if decision.score is not None}
    if scores:
        lines.append(f"Spam score: {', '.join(f'{score:g}' for score in sorted(scores))}")
    kept = about.quarantine
    lines += [f"The message has been quarantined as: {kept}" if kept else "The message has not been quarantined", ""]
    for fate, is_passed in (("WILL BE", True), ("WAS NOT", False)):
        told = [d.recipient.address for d in about.decisions if d.is_passed is is_passed]
        if told:
            lines += [
                f"The message {fate} relayed to:",
                *(f"<{_one_line(address, 300)}>" for address in told[:200]),
                "",
            ]
    return lines


def quarantine_head(envelope: Envelope, decisions: Sequence[Decision], additions: Additions) -> bytes:
    """What stands before a message that is kept: whom it was from and for, and why it is here."""
    everybody = ",\n\t".join(_bracketed(decision.recipient.address) for decision in decisions)
    blocked = ",\n\t".join(_bracketed(d.recipient.address) for d in decisions if not d.is_passed)
    lines = [
        f"Return-Path: {_bracketed(envelope.sender)}",
        f"X-Envelope-From: {_bracketed(envelope.sender)}",
        f"X-Envelope-To: {everybody}",
        f"X-Envelope-To-Blocked: {blocked}".rstrip(),
        *(f"{name}: {value}".rstrip() for name, value in additions.fields),
    ]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _bracketed(address: str) -> str:
    return f"<{_one_line(address, 1000)}>"


def _one_line(text: str, limit: int) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:limit]
