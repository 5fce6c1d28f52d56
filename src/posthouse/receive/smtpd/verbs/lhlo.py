"""LHLO: EHLO of LMTP, after which each recipient gets a reply of its own to the message (RFC 2033, 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.end_of_data import LMTP
from posthouse.receive.smtpd.verbs import ehlo

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

FOR_LMTP = True
IS_JUNK = True
ENDS_GROUP = True
_SYNTAX = refuse(501, "", "Syntax: LHLO hostname")


async def answer(session: Session, arguments: str) -> Reply:
    if not arguments:
        return _SYNTAX
    reply = await ehlo.answer(session, arguments)
    if reply.status.code == 250:
        session.request.protocol_name = LMTP
    return reply
