"""The scanner's log lines, in the form of amavisd's, which amavis-logwatch reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a line tells. word is "CLEAN", "SPAM", "INFECTED (Eicar)" ...; score None: nobody was asked."""

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
    """One line for one message."""
    client = ""
    if scanned.client_address:
        port = f":{scanned.client_port}" if scanned.client_port else ""
        client = f" [{scanned.client_address}]{port} [{scanned.client_address}]"
    recipients = ",".join(f"<{address}>" for address in scanned.recipients)
    fate = "Passed" if scanned.is_passed else "Blocked"
    parts = [
        f"({scanned.number}) {fate} {scanned.word} {{{','.join(scanned.done)}}}",
        f"{client.strip()} <{scanned.sender}> -> {recipients}".strip(),
    ]
    if scanned.quarantine:
        parts.append(f"quarantine: {scanned.quarantine}")
    if scanned.queue_id:
        parts.append(f"Queue-ID: {scanned.queue_id}")
    if scanned.message_id:
        parts.append(f"Message-ID: {scanned.message_id}")
    parts.append(f"mail_id: {scanned.mail_id}")
    parts.append(f"Hits: {'-' if scanned.score is None else f'{scanned.score:g}'}")
    parts.append(f"size: {scanned.size}")
    if scanned.queued_as:
        parts.append(f"queued_as: {scanned.queued_as}")
    parts.append(f"{scanned.milliseconds} ms")
    return ", ".join(parts)
