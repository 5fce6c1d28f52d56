"""MAIL FROM (RFC 5321, 4.1.1.2)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_address import BadAddress, extract_address, is_closed
from posthouse.protocols.smtp_server import CommandSyntax, Reply, address_words, mail_parameters, ok, refuse
from posthouse.receive.smtpd.checks import obey, refuse_logged, refuse_open_bracket, refuse_option, refuse_unresolvable
from posthouse.receive.smtpd.proxy_filter import note_sender
from posthouse.receive.smtpd.transaction import Transaction

if TYPE_CHECKING:
    from posthouse.protocols.smtp_server import MailParameters
    from posthouse.receive.smtpd.session import Session

_OK = ok("Ok", "2.1.0")
_NEED_HELO = refuse(503, "5.5.1", "Error: send HELO/EHLO first")
_NESTED = refuse(503, "5.5.1", "Error: nested MAIL command")
_AFTER_BDAT = refuse(503, "5.5.1", "Error: MAIL after BDAT")
_SYNTAX = refuse(501, "5.5.4", "Syntax: MAIL FROM:<address>")
_BAD_ADDRESS = refuse(501, "5.1.7", "Bad sender address syntax")
_VERP_OF_NOBODY = refuse(503, "5.5.4", "Error: XVERP requires non-null sender")
_TOO_BIG = refuse(552, "5.3.4", "Message size exceeds fixed limit")
_NO_ROOM = refuse(452, "4.3.1", "Insufficient system storage")


async def answer(session: Session, arguments: str) -> Reply:
    refused = _out_of_turn(session)
    if refused is not None:
        return refused
    words = address_words(arguments, "FROM:")
    if words is None:
        return _SYNTAX
    rules, offered = session.service.rules, session.keyword_limits
    try:
        refuse_open_bracket(words[0])
        sender = extract_address(words[0], strict=rules.strict_envelopes, utf8=_wants_utf8(words, session))
        refuse_option(sender, rules)
        await refuse_unresolvable(sender, session)
        parameters = mail_parameters(
            words[1:],
            dsn="dsn" not in offered,
            utf8=rules.smtputf8 and "smtputf8" not in offered,
            verp=session.service.may_use(session, session.service.verp_hosts),
        )
    except BadAddress:
        if is_closed(words[0]):
            session.log.warning(lines.bad_address(session.client, "MAIL", words[0]))
        return _BAD_ADDRESS
    except CommandSyntax as error:
        return error.reply
    session.service.old_defaults.note_address(session, "sender", sender)
    return await _begin(session, sender, parameters, words)


def _out_of_turn(session: Session) -> Reply | None:
    if session.request.helo_name is None and session.service.rules.helo_required:
        return _NEED_HELO
    if session.chunk_state is not None:
        return _AFTER_BDAT if session.transaction is None or session.chunk_state == "failed" else _NESTED
    return _NESTED if session.transaction is not None else None


def _wants_utf8(words: list[str], session: Session) -> bool:
    return session.service.rules.smtputf8 and any(word.upper() == "SMTPUTF8" for word in words[1:])


async def _begin(session: Session, sender: str, parameters: MailParameters, words: list[str]) -> Reply:
    service, request = session.service, session.request
    verp = _verp(session, parameters)
    if verp is None:
        return refuse(501, "5.5.4", f"Error: XVERP needs two characters from {service.rules.verp_characters}")
    if verp and not sender:
        return _VERP_OF_NOBODY
    refused = service.clients.message(session)
    if refused is not None:
        return refused
    request.sender, request.protocol_state, request.size = sender, "MAIL", parameters.size
    request.smtputf8, request.dsn_envid = parameters.smtputf8, parameters.envid
    request.sasl_sender = "" if parameters.auth == "<>" else lines.printable(parameters.auth, 250)
    now = time.time()
    request.instance = service.next_instance(now)
    transaction = session.transaction = Transaction(sender, parameters, _rewrite_context(session), now, verp)
    refused = service.login_limits.message(session, transaction)
    if refused is None:
        refused = await obey(session, service.gate.mail(request), "MAIL")
    if refused is None and session.milters is not None:
        refused = await session.milters.mail(words)
    if refused is None:
        refused = _room_for(session, parameters.size)
    if refused is not None:
        session.forget_transaction()
        return refused
    if service.proxy is not None:
        note_sender(transaction, words)
    elif not service.rules.delay_open:
        session.open_queue_file()
    del transaction
    return _OK


def _rewrite_context(session: Session) -> str:
    """Whose mail it is in the end, as a filter before or behind the queue has told (XFORWARD SOURCE)."""
    told = "" if session.xforward is None else session.xforward.get("SOURCE", "")
    return told.lower() if told in ("LOCAL", "REMOTE") else session.service.rewrite_context.of(session.request)


def _verp(session: Session, parameters: MailParameters) -> str | None:
    """The two delimiters, "" for none; None where they may not be used (verp_delimiter_filter)."""
    if parameters.verp is None:
        return ""
    rules = session.service.rules
    verp = rules.verp_delimiters if parameters.verp == "default" else parameters.verp
    return verp if len(verp) == 2 and all(char in rules.verp_characters for char in verp) else None


def _room_for(session: Session, size: int) -> Reply | None:
    rules = session.service.rules
    if rules.size_limit and size > rules.size_limit:
        return refuse_logged(session, _TOO_BIG, "MAIL")
    free = session.service.free_space()
    if free is not None and (free <= rules.queue_minfree or free / 1.5 <= size):
        session.log.warning(f"not enough free space in mail queue: {free} bytes < 1.5*message size limit")
        return refuse_logged(session, _NO_ROOM, "MAIL")
    return None
