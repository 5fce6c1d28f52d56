"""The scanner's log lines, in the form of amavisd's, which amavis-logwatch reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_RECIPIENTS = 50


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a line tells. number is "01234-05"; word is "CLEAN", "SPAM", "INFECTED (Eicar)" ...; done are
    "RelayedInbound" and the like; milliseconds are since the message was here; score None: nobody was asked.
    """

    number: str
    is_passed: bool
    word: str
    done: Sequence[str]
    client_address: str
    client_port: str
    sender: str
    recipients: Sequence[str]
    queue_id: str
    message_id: str
    mail_id: str
    score: float | None
    size: int
    queued_as: str
    quarantine: str
    milliseconds: int


def result(scanned: Scanned) -> str:
    """One line for one message, and those of its recipients who have the same fate."""
    client = ""
    if scanned.client_address:
        port = f":{scanned.client_port}" if scanned.client_port else ""
        client = f"[{scanned.client_address}]{port} [{scanned.client_address}] "
    recipients = ",".join(f"<{_tamed(address)}>" for address in scanned.recipients[:MOST_RECIPIENTS])
    if len(scanned.recipients) > MOST_RECIPIENTS:
        recipients += ",..."
    fate = "Passed" if scanned.is_passed else "Blocked"
    parts = [
        f"({scanned.number}) {fate} {_tamed(scanned.word)} {{{','.join(scanned.done)}}}",
        f"{client}<{_tamed(scanned.sender)}> -> {recipients}",
    ]
    if scanned.quarantine:
        parts.append(f"quarantine: {scanned.quarantine}")
    if scanned.queue_id:
        parts.append(f"Queue-ID: {scanned.queue_id}")
    if scanned.message_id:
        parts.append(f"Message-ID: {_tamed(scanned.message_id)}")
    parts.append(f"mail_id: {scanned.mail_id}")
    parts.append(f"Hits: {'-' if scanned.score is None else _score(scanned.score)}")
    parts.append(f"size: {scanned.size}")
    if scanned.queued_as:
        parts.append(f"queued_as: {scanned.queued_as}")
    parts.append(f"{scanned.milliseconds} ms")
    return ", ".join(parts)


def note(number: str, text: str) -> str:
    """Something about a message that its last line has no place for."""
    return f"({number}) {_tamed(text)}"


def _score(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def _tamed(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
