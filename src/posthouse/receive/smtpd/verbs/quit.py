"""QUIT (RFC 5321, 4.1.1.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.mail.status import Status
from posthouse.protocols.smtp_server import Reply

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

_BYE = Reply(Status("2.0.0", 221, "Bye"), closes=True)


async def answer(session: Session, arguments: str) -> Reply:  # noqa: ARG001
    return _BYE
