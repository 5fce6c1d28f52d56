"""RCPT TO (RFC 5321, 4.1.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.mail.envelope import Recipient
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_address import BadAddress, extract_address, is_closed
from posthouse.protocols.smtp_server import CommandSyntax, Reply, address_words, ok, rcpt_parameters, refuse
from posthouse.receive.smtpd.checks import obey, refuse_open_bracket, refuse_option, refuse_unresolvable
from posthouse.receive.smtpd.proxy_filter import pass_recipient

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session
    from posthouse.receive.smtpd.transaction import Transaction

_OK = ok("Ok", "2.1.5")
_NEED_MAIL = refuse(503, "5.5.1", "Error: need MAIL command")
_AFTER_BDAT = refuse(503, "5.5.1", "Error: RCPT after BDAT")
_SYNTAX = refuse(501, "5.5.4", "Syntax: RCPT TO:<address>")
_BAD_ADDRESS = refuse(501, "5.1.3", "Bad recipient address syntax")
TOO_MANY = refuse(452, "4.5.3", "Error: too many recipients")


async def answer(session: Session, arguments: str) -> Reply | None:
    transaction = session.transaction
    if transaction is None:
        return _NEED_MAIL
    if session.chunk_state is not None:
        return _AFTER_BDAT
    words = address_words(arguments, "TO:")
    if words is None:
        return _SYNTAX
    service = session.service
    try:
        refuse_open_bracket(words[0])
        address = extract_address(
            words[0], strict=service.rules.strict_envelopes, utf8=transaction.parameters.smtputf8, null=False
        )
        refuse_option(address, service.rules)
        await refuse_unresolvable(address, session)
        parameters = rcpt_parameters(words[1:], dsn="dsn" not in session.keyword_limits)
    except BadAddress:
        if is_closed(words[0]):
            session.log.warning(lines.bad_address(session.client, "RCPT", words[0]))
        return _BAD_ADDRESS
    except CommandSyntax as error:
        if error.warning:
            session.log.warning(lines.printable(error.warning, 200))
        return error.reply
    service.old_defaults.note_address(session, "recipient", address)
    refused = _too_many(session, transaction)
    if refused is not None:
        return refused if refused is not TOO_MANY else None
    recipient = Recipient(address, "", parameters.orcpt or _as_typed(words[0]), parameters.notify)
    return await _accept(session, transaction, recipient, words)


def _as_typed(text: str) -> str:
    """The original recipient (RFC 3461, 4.2) of a client that did not name one: what stood between the brackets."""
    return f"rfc822;{text[1:-1] if text[0] == '<' and text[-1] == '>' else text}"


def _too_many(session: Session, transaction: Transaction) -> Reply | None:
    """TOO_MANY where the session has said it already: the overshoot is no error."""
    service = session.service
    refused = service.clients.recipient(session) or service.login_limits.recipient(session, transaction)
    if refused is not None:
        return refused
    rules = service.rules
    if not rules.recipients or len(transaction.recipients) < rules.recipients:
        return None
    transaction.overshoot += 1
    if transaction.overshoot > rules.recipients_overshoot:
        return refuse(452, "4.5.3", "Error: too many recipients")
    session.count("rcpt", good=True)
    session.send(TOO_MANY)
    return TOO_MANY


async def _accept(session: Session, transaction: Transaction, recipient: Recipient, words: list[str]) -> Reply:
    request = session.request
    request.recipient, request.protocol_state = recipient.address, "RCPT"
    refused = await obey(session, session.service.gate.rcpt(request), "RCPT", recipient.address)
    request.recipient = None
    if session.milters is not None:
        if refused is None:
            refused = await session.milters.rcpt(words, recipient.address)
        else:
            await session.milters.refused_rcpt(words, refused)
    if refused is not None:
        return refused
    proxy = session.service.proxy
    if proxy is not None and transaction.passage is not None:
        refused = await pass_recipient(session, transaction.passage, words, proxy)
        if refused is not None:
            return refused
    elif not session.queue_id:
        session.open_queue_file()
    transaction.recipients.append(recipient)
    request.recipient_count = len(transaction.recipients)
    return _OK
