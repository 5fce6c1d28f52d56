"""XFORWARD: an authorized client tells where a message came from, for the log (XFORWARD_README)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.protocols.smtp_server import CommandSyntax, Reply, ok, refuse
from posthouse.receive.smtpd.attributes import UNAVAILABLE, UNKNOWN, parse_attributes

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

KEYWORD = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"
_KNOWN = tuple(KEYWORD.split()[1:])
_OK = ok("Ok")
_IN_TRANSACTION = refuse(503, "5.5.1", "Error: MAIL transaction in progress")
_NOT_AUTHORIZED = refuse(550, "5.7.0", "Error: insufficient authorization")
_NAMED = ("NAME", "ADDR", "PORT")


async def answer(session: Session, arguments: str) -> Reply:
    if session.transaction is not None:
        return _IN_TRANSACTION
    if arguments.strip() and not session.may_forward:
        return _NOT_AUTHORIZED
    try:
        told = parse_attributes("XFORWARD", arguments, _KNOWN, session.service.rules.ipv6)
    except CommandSyntax as error:
        return error.reply
    known = session.xforward or {}
    for name, value in told.items():
        known[name] = (UNKNOWN if name in _NAMED else "") if value == UNAVAILABLE else value
    session.xforward = known
    return _OK
