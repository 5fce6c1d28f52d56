"""RSET (RFC 5321, 4.1.1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.protocols.smtp_server import Reply, ok, refuse

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

IS_JUNK = True
_OK = ok("Ok")
_SYNTAX = refuse(501, "5.5.4", "Syntax: RSET")


async def answer(session: Session, arguments: str) -> Reply:
    if arguments:
        return _SYNTAX
    session.forget_transaction()
    return _OK
