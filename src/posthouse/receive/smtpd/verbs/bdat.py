"""BDAT: content in counted chunks (RFC 3030, CHUNKING)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_data import ChunkDecoder
from posthouse.protocols.smtp_server import Reply, ok, refuse
from posthouse.receive.smtpd.checks import obey_about_content
from posthouse.receive.smtpd.end_of_data import TOO_BIG, end_message
from posthouse.receive.smtpd.incoming import ChunkContent
from posthouse.receive.smtpd.proxy_filter import pass_data

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from posthouse.receive.smtpd.session import Session

MAX_CHUNK = 2**63 - 1
_SYNTAX = refuse(521, "5.5.4", "Syntax: BDAT count [LAST]", closes=True)
_NOT_OFFERED = refuse(521, "5.5.1", "Error: command not implemented", closes=True)
_NULL = refuse(551, "5.7.1", "Null BDAT request")
_NO_RECIPIENTS = refuse(554, "5.5.1", "Error: no valid recipients")
_NEED_RCPT = refuse(503, "5.5.1", "Error: need RCPT command")


async def answer(session: Session, arguments: str) -> Reply | None:
    if "chunking" in session.keyword_limits:
        return _NOT_OFFERED
    words = arguments.split()
    if not _is_well_formed(words):
        # What follows could be content or commands: only closing the connection is safe.
        session.log.warning(lines.bad_bdat(session.queue_id, session.client, f"BDAT {arguments}".rstrip()))
        return _SYNTAX
    size, last = int(words[0]), len(words) == 2
    refused = await _refused(session, size, last)
    if refused is not None:
        session.chunk_state = "failed"
        _read(session, size, None, _say(refused))
        return None
    _read(session, size, _keep(session), _chunk_done(size, last))
    return None


def _is_well_formed(words: list[str]) -> bool:
    if len(words) not in (1, 2) or (len(words) == 2 and words[1].upper() != "LAST"):
        return False
    return words[0].isascii() and words[0].isdigit() and len(words[0]) < 20 and int(words[0]) <= MAX_CHUNK


def _read(
    session: Session, size: int, take: Callable[[bytes], None] | None,
    then: Callable[[Session], Coroutine[None, None, Reply | None]],
) -> None:  # fmt: skip
    session.incoming = ChunkContent(session.service.verbs["BDAT"], size, take, then)


async def _refused(session: Session, size: int, last: bool) -> Reply | None:
    if session.chunk_state == "failed":
        return refuse(551, "5.0.0", f"Discarded {size} bytes after earlier error")
    transaction = session.transaction
    if transaction is None:
        return _NEED_RCPT
    if not transaction.recipients:
        return _NO_RECIPIENTS
    if not size and not last:
        session.log.warning(lines.null_bdat(session.queue_id, session.client))
        return _NULL
    if transaction.chunks is None:
        session.request.protocol_state = "DATA"
        refused = await obey_about_content(session, session.service.gate.data, "BDAT")
        if refused is None and session.milters is not None:
            refused = await session.milters.data("BDAT")
        if refused is None and session.service.proxy is not None:
            refused = await pass_data(session, session.service.proxy)
        if refused is not None:
            return refused
        session.request.protocol_state = "END-OF-MESSAGE"
        transaction.chunks, transaction.spool = ChunkDecoder(), session.new_spool()
        session.chunk_state = "open"
    limit = session.service.rules.size_limit
    if limit and transaction.spool is not None and transaction.spool.size + size > limit:
        session.log.warning(lines.too_big(session.queue_id))
        return TOO_BIG
    return None


def _keep(session: Session) -> Callable[[bytes], None]:
    transaction = session.transaction
    if transaction is None or transaction.chunks is None or transaction.spool is None:
        raise RuntimeError("BDAT without a transaction")
    chunks, spool = transaction.chunks, transaction.spool
    return lambda data: spool.add(chunks.feed(data))


def _say(reply: Reply) -> Callable[[Session], Coroutine[None, None, Reply | None]]:
    async def say(session: Session) -> Reply:  # noqa: ARG001
        return reply

    return say


def _chunk_done(size: int, last: bool) -> Callable[[Session], Coroutine[None, None, Reply | None]]:
    async def done(session: Session) -> Reply | None:
        transaction = session.transaction
        if not last or transaction is None or transaction.chunks is None or transaction.spool is None:
            return ok(f"Ok: {size} bytes")
        transaction.spool.add(transaction.chunks.finish())
        return await end_message(session)

    return done
