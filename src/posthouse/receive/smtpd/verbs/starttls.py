"""STARTTLS (RFC 3207; TLS_README)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from posthouse.protocols.smtp_server import Reply, ok, refuse
from posthouse.receive.smtpd.tls import forget_client

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

# What a client sends behind STARTTLS without waiting is thrown away, and is no reason to refuse it.
_SYNTAX = refuse(501, "5.5.4", "Syntax: STARTTLS")
_NOT_IMPLEMENTED = refuse(502, "5.5.1", "Error: command not implemented")
_ACTIVE = refuse(554, "5.5.1", "Error: TLS already active")
_NOT_AVAILABLE = refuse(454, "4.7.0", "TLS not available due to local problem")
_READY = ok("Ready to start TLS", "2.0.0", 220)


async def answer(session: Session, arguments: str) -> Reply | None:
    if arguments:
        return _SYNTAX
    if session.tls is not None:
        return _ACTIVE
    server = session.service.tls
    if server is None or "starttls" in session.keyword_limits:
        return _NOT_IMPLEMENTED
    if session.service.clients.may_not_begin_tls(session, "STARTTLS"):
        return refuse(454, "4.7.0", f"Error: too many new TLS sessions from {session.client}")
    context = await server.context(time.time())
    if context is None:
        session.blamed = "resource"
        return _NOT_AVAILABLE
    session.send(_READY)
    session.flush()
    session.take_input()  # plain text must not become commands under TLS
    good = await server.secure(session, context, b"")
    if good:
        session.forget_transaction()
        forget_client(session.request)
        refused = session.service.clients.new_tls_session(session)
        if refused is not None:
            return refused
        session.count("starttls", good=True)
        refused = server.refusal(session)
        if refused is not None:
            session.send(refused)
    else:
        session.count("starttls", good=False)
    return None
