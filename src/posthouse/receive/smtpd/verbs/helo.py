"""HELO (RFC 5321, 4.1.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.protocols.smtp_server import Reply, ok, refuse
from posthouse.receive.smtpd.checks import obey

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

IS_JUNK = True
ENDS_GROUP = True
_SYNTAX = refuse(501, "", "Syntax: HELO hostname")
_UNWELCOME = str.maketrans(dict.fromkeys(' <>()\\";@', "?"))


def tamed(name: str) -> str:
    """A HELO name with what would spoil headers and log lines replaced."""
    name = " ".join(name.split()).translate(_UNWELCOME)
    return name if name.isprintable() else "".join(char if char.isprintable() else "?" for char in name)


async def introduce(session: Session, arguments: str, word: str) -> Reply | None:
    """What HELO and EHLO share: the reply that refuses the name, or None."""
    request = session.request
    before = (request.helo_name, request.protocol_state)
    request.helo_name, request.protocol_state = tamed(arguments), word
    session.forget_transaction()
    reply = await obey(session, session.service.gate.helo(request), word)
    if reply is None and session.milters is not None:
        reply = await session.milters.helo(request.helo_name, word)
    if reply is not None:
        request.helo_name, request.protocol_state = before
    elif word == "EHLO":  # a HELO after it changes nothing, in Postfix too
        request.protocol_name = "ESMTP"
    return reply


async def answer(session: Session, arguments: str) -> Reply:
    if not arguments:
        return _SYNTAX
    refused = await introduce(session, arguments, "HELO")
    return refused or ok(session.service.rules.myhostname, "")
