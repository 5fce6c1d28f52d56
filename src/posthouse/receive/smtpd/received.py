"""The Received: field that smtpd(8) puts on top (RFC 5321, 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.mail.address import quote_address
from posthouse.policy.request import Request
from posthouse.system.dates import mail_date

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session
    from posthouse.receive.smtpd.transaction import Transaction


def protocol_word(request: Request, *, utf8: bool) -> str:
    """SMTP, ESMTP, ESMTPSA, UTF8SMTP ... (RFC 3848, RFC 6531)."""
    word = "UTF8SMTP" if utf8 else request.protocol_name
    if word == "SMTP":
        return word
    return f"{word}{'S' if request.encryption_protocol else ''}{'A' if request.sasl_username else ''}"


def received_field(session: Session, transaction: Transaction, now: float) -> bytes:
    """The field, with LF line ends. The recipient is named when there is only one."""
    rules, request, queue_id = session.service.rules, session.request, session.queue_id
    server, tls = session.service.tls, session.tls
    tls_lines = tls.received_lines() if tls is not None and server is not None and server.rules.in_received else ()
    ident = f" id {queue_id}" if queue_id else ""  # with smtpd_proxy_filter there is none yet
    one = len(transaction.recipients) == 1
    tail = f"\n\tfor <{quote_address(transaction.recipients[0].address)}>; " if one else ";\n\t"
    tail = f"{tail}{mail_date(now)}\n"
    if rules.hide_session:
        return f"Received: by {rules.myhostname} ({rules.mail_name}){ident}{tail}".encode("utf-8", "surrogateescape")
    address = f"IPv6:{request.client_address}" if ":" in request.client_address else request.client_address
    lines = [f"from {request.helo_name or request.client_name} ({request.client_name} [{address}])"]
    lines += tls_lines
    if rules.authenticated_header and request.sasl_username:
        lines.append(f"(Authenticated sender: {request.sasl_username})")
    word = protocol_word(request, utf8=transaction.parameters.smtputf8)
    lines.append(f"by {rules.myhostname} ({rules.mail_name}) with {word}{ident}")
    return ("Received: " + "\n\t".join(lines) + tail).encode("utf-8", "surrogateescape")
