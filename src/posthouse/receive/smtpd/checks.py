"""Asks policy about a command, does what it says, and writes the log lines (smtpd(8), access(5))."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from posthouse.mail.address import quote_address
from posthouse.mail.status import Status
from posthouse.maillog import smtpd as lines
from posthouse.policy.verdict import PASS, Verdict
from posthouse.protocols.smtp_address import BadAddress, is_closed
from posthouse.protocols.smtp_server import Reply, refusal

if TYPE_CHECKING:
    from posthouse.policy.request import Request
    from posthouse.receive.smtpd.conversation import Conversation
    from posthouse.receive.smtpd.rules import Rules
    from posthouse.receive.smtpd.session import Session


_HIDES_ANOTHER = frozenset("@!%")


def refuse_option(address: str, rules: Rules) -> None:
    """An address that commands could take for an option is bad (allow_min_user). Raises BadAddress."""
    if address.startswith("-") and not rules.allow_min_user:
        raise BadAddress(address)


async def refuse_unresolvable(address: str, session: Session) -> None:
    """An address of ours whose local part hides one that is none (kit@@example.com) is bad. Raises BadAddress."""
    rewriter = session.service.house.rewriter
    if rewriter is None or not _HIDES_ANOTHER.intersection(address.rpartition("@")[0]):
        return
    if (await rewriter.resolve(session.request.sender or "", address)).error:
        raise BadAddress(address)


def refuse_open_bracket(word: str) -> None:
    """<a@b without > is no address. Raises BadAddress."""
    if not is_closed(word):
        raise BadAddress(word)


def quoted(address: str | None) -> str | None:
    """For the log; None stays."""
    return None if address is None else quote_address(address)


def log_note(session: Session, kind: str, where: str, text: str, recipient: str | None) -> None:
    """A line of the reject family about the session's present state."""
    request = session.request
    about = lines.about(
        quoted(request.sender), quoted(recipient),
        request.protocol_name,
        request.helo_name,
    )  # fmt: skip
    session.log.info(lines.note(kind, session.queue_id, where, session.client, lines.printable(text), about))


def shown(status: Status) -> str:
    """A refusal as the log has it."""
    return f"{status.code} {status.dsn} {status.text}" if status.dsn else f"{status.code} {status.text}"


async def obey(
    session: Session, question: Coroutine[Any, Any, Verdict], where: str, recipient: str | None = None
) -> Reply | None:
    """Policy's verdict on the command: the reply that refuses it, or None where it passes."""
    verdict = await question
    if verdict is PASS:
        return None
    for note in verdict.notes:
        if note.kind != "permit":
            log_note(session, note.kind, where, note.text, recipient)
    if session.transaction is not None:
        session.transaction.apply(verdict.actions)
    if verdict.refusal is None:
        return None
    log_note(session, "reject", where, shown(verdict.refusal), recipient)
    software = verdict.refusal.dsn == "4.3.5" and verdict.refusal.text == "Server configuration error"
    session.blamed = "software" if software else "policy"
    return refusal(verdict.refusal, closes=verdict.closes)


async def obey_about_content(
    session: Session, ask: Callable[[Request], Coroutine[Any, Any, Verdict]], where: str
) -> Reply | None:
    """As obey, at DATA and after it: a recipient is known where there is only one."""
    transaction, request = session.transaction, session.request
    recipients = transaction.recipients if transaction is not None else []
    request.recipient = recipients[0].address if len(recipients) == 1 else None
    try:
        return await obey(session, ask(request), where, request.recipient)
    finally:
        request.recipient = None


def refuse_logged(session: Session, reply: Reply, where: str, recipient: str | None = None) -> Reply:
    """A refusal of smtpd's own, with its reject line."""
    log_note(session, "reject", where, shown(reply.status), recipient)
    session.blamed = "policy" if reply.status.code >= 500 else "resource"
    return reply


def client_slots(session: Conversation) -> dict[str, str]:
    """What stands behind client= in the log: who logged in, and what XFORWARD told."""
    request = session.request
    slots = {
        "sasl_method": request.sasl_method,
        "sasl_username": request.sasl_username,
        "sasl_sender": request.sasl_sender,
    }
    told = session.xforward
    if told:
        slots["orig_queue_id"] = told.get("IDENT", "")
        address = told.get("ADDR", "")
        if address or told.get("NAME"):
            port = told.get("PORT", "")
            shown_port = f":{port}" if port and session.service.rules.log_port else ""
            name = told.get("NAME") or "unknown"
            slots["orig_client"] = name if address in ("", "unknown") else f"{name}[{address}]{shown_port}"
    return slots
