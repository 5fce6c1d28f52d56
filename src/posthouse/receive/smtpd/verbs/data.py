"""DATA (RFC 5321, 4.1.1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.mail.status import Status
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_data import BareNewline, DataDecoder
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.checks import obey_about_content
from posthouse.receive.smtpd.end_of_data import end_message
from posthouse.receive.smtpd.incoming import DataContent
from posthouse.receive.smtpd.proxy_filter import pass_data

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

ENDS_GROUP = True
_GO_AHEAD = Reply(Status("", 354, "End data with <CR><LF>.<CR><LF>"))
_NO_RECIPIENTS = refuse(554, "5.5.1", "Error: no valid recipients")
_NEED_RCPT = refuse(503, "5.5.1", "Error: need RCPT command")
_AFTER_BDAT = refuse(503, "5.5.1", "Error: DATA after BDAT")
_SYNTAX = refuse(501, "5.5.4", "Syntax: DATA")


async def answer(session: Session, arguments: str) -> Reply | None:
    transaction = session.transaction
    if session.chunk_state is not None:
        return _AFTER_BDAT
    if transaction is None:
        return _NEED_RCPT
    if not transaction.recipients:
        return _NO_RECIPIENTS
    if arguments:
        return _SYNTAX
    request = session.request
    request.protocol_state = "DATA"
    refused = await obey_about_content(session, session.service.gate.data, "DATA")
    if refused is None and session.milters is not None:
        refused = await session.milters.data("DATA")
    if refused is None and session.service.proxy is not None:
        refused = await pass_data(session, session.service.proxy)
    if refused is not None:
        return refused
    request.protocol_state = "END-OF-MESSAGE"
    session.send(_GO_AHEAD)
    transaction.spool = session.new_spool()
    verb = session.service.verbs["DATA"]
    session.incoming = DataContent(
        verb, DataDecoder(session.service.bare_newline_mode(session)), transaction.spool, _finish
    )
    return None


async def _finish(session: Session, decoder: DataDecoder) -> Reply | None:
    if decoder.bare_newline:
        mode = session.service.bare_newline_mode(session)
        if mode is BareNewline.REJECT:
            session.count("data", good=False)
            session.where = "DATA"
            session.refuse_bare_newline()
            session.forget_transaction()
            return None
        if mode is BareNewline.NOTE:
            session.log.info(lines.bare_newline_seen(session.client, "DATA"))
    return await end_message(session)
