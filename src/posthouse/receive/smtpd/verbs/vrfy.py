"""VRFY: would mail to this address be taken? (RFC 5321, 3.5.3)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_address import BadAddress, extract_address
from posthouse.protocols.smtp_server import Reply, ok, refuse, split_words
from posthouse.receive.smtpd.checks import obey, refuse_option, refuse_unresolvable

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

IS_JUNK = True
ENDS_GROUP = True
_DISABLED = refuse(502, "5.5.1", "VRFY command is disabled")
_BAD_ADDRESS = refuse(501, "5.1.3", "Bad recipient address syntax")


async def answer(session: Session, arguments: str) -> Reply:
    rules = session.service.rules
    if rules.disable_vrfy:
        return _DISABLED
    words = split_words(arguments)
    utf8 = rules.smtputf8 and len(words) > 1 and words[-1].upper() == "SMTPUTF8"
    if utf8:
        words.pop()
    if not words:
        return refuse(501, "5.5.4", f"Syntax: VRFY address{' [SMTPUTF8]' if rules.smtputf8 else ''}")
    text = " ".join(words)
    try:
        address = extract_address(text, utf8=utf8, null=False)
        refuse_option(address, rules)
        await refuse_unresolvable(address, session)
    except BadAddress:
        session.log.warning(lines.bad_address(session.client, "VRFY", text))
        return _BAD_ADDRESS
    request = session.request
    request.recipient, request.protocol_state = address, "VRFY"
    refused = await obey(session, session.service.gate.vrfy(request), "VRFY", address)
    request.recipient = None
    return refused or ok(text, "2.0.0", 252)
