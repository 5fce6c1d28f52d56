"""STARTTLS (RFC 3207): not configured here yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.protocols.smtp_server import Reply, refuse

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

ENDS_GROUP = True
_SYNTAX = refuse(501, "5.5.4", "Syntax: STARTTLS")
_NOT_IMPLEMENTED = refuse(502, "5.5.1", "Error: command not implemented")


async def answer(session: Session, arguments: str) -> Reply:  # noqa: ARG001
    return _SYNTAX if arguments else _NOT_IMPLEMENTED
