"""NOOP (RFC 5321, 4.1.1.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.protocols.smtp_server import Reply, ok

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

IS_JUNK = True
ENDS_GROUP = True
_OK = ok("Ok")


async def answer(session: Session, arguments: str) -> Reply:  # noqa: ARG001
    return _OK
