"""AUTH (RFC 4954): not enabled here yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.protocols.smtp_server import Reply, refuse

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

_NEED_HELO = refuse(503, "5.5.1", "Error: send HELO/EHLO first")
_NOT_ENABLED = refuse(503, "5.5.1", "Error: authentication not enabled")


async def answer(session: Session, arguments: str) -> Reply:  # noqa: ARG001
    return _NEED_HELO if session.request.helo_name is None else _NOT_ENABLED
