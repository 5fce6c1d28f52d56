"""The end of DATA as a list of steps: each may answer, and the message ends there; the last one hands it to cleanup."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Origin
from posthouse.mail.status import Status
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_server import Reply, ok, refuse
from posthouse.receive.smtpd.checks import log_note, obey_about_content
from posthouse.receive.smtpd.milters import as_reply
from posthouse.receive.smtpd.proxy_filter import pass_content
from posthouse.receive.smtpd.queue_file_size import exceeds_limit
from posthouse.receive.smtpd.received import protocol_word, received_field
from posthouse.services.intake import Accepted, Discarded, Refused, Skip, Submission

if TYPE_CHECKING:
    from posthouse.receive.smtpd.content_spool import ContentSpool
    from posthouse.receive.smtpd.session import Session
    from posthouse.receive.smtpd.transaction import Transaction

TOO_BIG = refuse(552, "5.3.4", "Error: message file too big")
LMTP = "LMTP"
DISK_FULL = refuse(452, "4.3.1", "Error: queue file write error")

Step = Callable[["Session", "Transaction", "ContentSpool"], Awaitable[Reply | None]]


async def refuse_what_is_too_big(session: Session, transaction: Transaction, spool: ContentSpool) -> Reply | None:
    """message_size_limit."""
    # Most mail is far from the limit, and needs no exact sum.
    rough = spool.wire_size + 2000 + 400 * len(transaction.recipients)
    limit = session.service.rules.size_limit
    too_big = spool.too_big
    if not too_big and limit and rough > limit:
        top = _fields_on_top(session, transaction)
        too_big = exceeds_limit(session, transaction, len(top) + spool.size, top.count(b"\n") + spool.lines)
    if too_big:
        spool.discard()
        session.blamed = "policy"
        session.log.warning(lines.too_big(session.queue_id))
        return TOO_BIG
    return None


async def refuse_what_has_no_room(session: Session, transaction: Transaction, spool: ContentSpool) -> Reply | None:  # noqa: ARG001
    """The spool could not be written."""
    if spool.failed is not None:
        session.blamed = "resource"
        session.log.warning(f"{session.queue_id}: {spool.failed}")
        return DISK_FULL
    return None


async def ask_policy(session: Session, transaction: Transaction, spool: ContentSpool) -> Reply | None:  # noqa: ARG001
    """smtpd_end_of_data_restrictions."""
    request = session.request
    request.size, request.header = spool.wire_size, spool.header
    return await obey_about_content(session, session.service.gate.end_of_data, "END-OF-MESSAGE")


async def hand_to_cleanup(session: Session, transaction: Transaction, spool: ContentSpool) -> Reply | None:
    """Received: on top, and into the queue; the answer comes when it is durable."""
    header, body = spool.close()
    transaction.spool = None
    intake = session.service.house.intake
    if intake is None:
        raise RuntimeError("no intake")
    if transaction.over_limit:
        log_note(session, "hold", "END-OF-MESSAGE", transaction.over_limit, None)
        transaction.hold = transaction.hold or ""
    submission = _submission(session, transaction, header, body)
    size = spool.wire_size
    chunked = transaction.chunks is not None
    result = await intake.take(submission)
    match result:
        case Accepted(queue_id) | Discarded(queue_id):
            if isinstance(result, Discarded):
                _drop_file(body)
            elif result.statuses:
                transaction.answers = result.statuses
            session.errors = session.junk = 0
            session.blames = frozenset()
            if isinstance(result, Accepted) and result.said is not None:
                return Reply(result.said)
            return ok(f"Ok: {size} bytes queued as {queue_id}" if chunked else f"Ok: queued as {queue_id}")
        case Refused(status):
            session.blamed = "resource" if status.dsn == "4.3.1" else "policy"
            _drop_file(body)
            return as_reply(_with_code(status))


async def hand_to_filter(session: Session, transaction: Transaction, spool: ContentSpool) -> Reply | None:
    """smtpd_proxy_filter: the filter takes the message, and answers; it will come back through another service."""
    proxy = session.service.proxy
    if proxy is None:
        return None
    header, body = spool.close()
    transaction.spool = None
    try:
        if transaction.discard is not None:
            return ok("Ok: queued as NOQUEUE")
        reply = await pass_content(session, transaction, proxy, (_fields_on_top(session, transaction) + header, body))
    finally:
        _drop_file(body)
    if reply.status.code < 300:
        session.errors = session.junk = 0
        session.blames = frozenset()
    return reply


STEPS: tuple[Step, ...] = (
    refuse_what_has_no_room, refuse_what_is_too_big, ask_policy, hand_to_filter, hand_to_cleanup,
)  # fmt: skip


async def end_message(session: Session) -> Reply | None:
    """All of the content is there."""
    session.where = "END-OF-MESSAGE"
    transaction = session.transaction
    if transaction is None or transaction.spool is None:
        raise RuntimeError("content without a transaction")
    spool = transaction.spool
    reply: Reply | None = None
    for step in STEPS:
        reply = await step(session, transaction, spool)
        if reply is not None:
            break
    if reply is not None and session.request.protocol_name == LMTP:
        reply = _answer_each(session, transaction, reply)
    # Differs from Postfix: after a refusal by restrictions, too. Else the next mail would join this one's recipients.
    session.forget_transaction()
    session.xforward = None
    return reply


def _answer_each(session: Session, transaction: Transaction, reply: Reply) -> Reply:
    """With LMTP every recipient has a reply of its own (RFC 2033, 4.2); the last of them is returned."""
    replies = [as_reply(_with_code(status)) for status in transaction.answers] or [reply] * len(transaction.recipients)
    for earlier in replies[:-1]:
        session.send(earlier)
    return replies[-1]


def _drop_file(body: bytes | FilePart) -> None:
    """The message is not kept: neither is its file, unless cleanup has removed it already."""
    if isinstance(body, FilePart):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(body.path)


def _with_code(status: Status) -> Status:
    if status.code:
        return status
    return Status(status.dsn, 451 if status.is_temporary else 554, status.text, status.reason)


def _fields_on_top(session: Session, transaction: Transaction) -> bytes:
    """What PREPEND wants, and Received:."""
    top = received_field(session, transaction, time.time())
    if transaction.prepended:
        top = "".join(f"{field}\n" for field in transaction.prepended).encode("utf-8", "surrogateescape") + top
    return top


def _submission(session: Session, transaction: Transaction, header: bytes, body: bytes | FilePart) -> Submission:
    rules = session.service.rules
    milters = None if session.milters is None else session.milters.milters
    return Submission(
        envelope=_envelope(session, transaction),
        content=Content(_fields_on_top(session, transaction) + header, body),
        arrival=transaction.started,
        queue_id=session.queue_id,
        cleanup_service=rules.cleanup_service,
        skip=rules.skip if milters is not None else rules.skip | Skip.MILTERS,
        hold=transaction.hold,
        discard=transaction.discard,
        redirect=transaction.redirect,
        extra_bcc=tuple(transaction.extra_bcc),
        milters=milters,
        mail_class="smtpd",
        by_recipient=session.request.protocol_name == LMTP,
    )


def _envelope(session: Session, transaction: Transaction) -> Envelope:
    parameters = transaction.parameters
    return Envelope(
        sender=transaction.sender,
        recipients=tuple(transaction.recipients),
        envid=parameters.envid,
        ret=parameters.ret,
        encoding=parameters.body,
        smtputf8=parameters.smtputf8,
        origin=origin_of(session),
        rewrite_context=transaction.rewrite_context,
        content_filter=transaction.content_filter or session.service.rules.content_filter,
        verp=transaction.verp,
    )


def origin_of(session: Session) -> Origin:
    """Where the message comes from: the client, or what an authorized one told by XFORWARD."""
    request = session.request
    either_way = {
        "server_address": request.server_address,
        "server_port": request.server_port,
        "sasl_method": request.sasl_method,
        "sasl_username": request.sasl_username,
        "sasl_sender": request.sasl_sender,
    }
    told = session.xforward
    if told is not None:
        return Origin(
            client_name=told.get("NAME", ""), client_address=told.get("ADDR", ""), client_port=told.get("PORT", ""),
            helo_name=told.get("HELO", ""), protocol_name=told.get("PROTO", ""), identifier=told.get("IDENT", ""),
            reverse_client_name=told.get("NAME", ""), source=told.get("SOURCE", "REMOTE"), **either_way,
        )  # fmt: skip
    utf8 = session.transaction is not None and session.transaction.parameters.smtputf8
    return Origin(
        client_name=request.client_name,
        client_address=request.client_address,
        client_port=request.client_port,
        helo_name=request.helo_name or "",
        protocol_name=protocol_word(request, utf8=utf8),
        reverse_client_name=request.reverse_client_name,
        source="REMOTE",
        **either_way,
    )
