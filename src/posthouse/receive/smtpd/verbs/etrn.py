"""ETRN: try the mail for a domain now (RFC 1985, ETRN_README)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.mail.address import is_valid_hostaddr, is_valid_hostname
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_server import Reply, ok, refuse
from posthouse.receive.smtpd.checks import obey

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

IS_JUNK = True
_NEED_HELO = refuse(503, "", "Error: send HELO/EHLO first")
_IN_TRANSACTION = refuse(503, "", "Error: MAIL transaction in progress")
_SYNTAX = refuse(500, "", "Syntax: ETRN domain")
_BAD_DOMAIN = refuse(501, "", "Error: invalid parameter syntax")
_QUEUED = ok("Queuing started", "")
_FAILED = refuse(458, "", "Unable to queue messages")


async def answer(session: Session, arguments: str) -> Reply:
    service = session.service
    if service.rules.helo_required and session.request.helo_name is None:
        return _NEED_HELO
    if session.transaction is not None:
        return _IN_TRANSACTION
    words = arguments.split()
    if len(words) != 1:
        return _SYNTAX
    domain = words[0][1:] if words[0][0] in "@#" else words[0]
    if not (is_valid_hostname(domain) or is_valid_hostaddr(domain.strip("[]"))):
        return _BAD_DOMAIN
    request = session.request
    request.etrn_domain, request.protocol_state = domain, "ETRN"
    refused = await obey(session, service.gate.etrn(request), "ETRN")
    request.etrn_domain = ""
    if refused is not None:
        return refused
    if service.stand_alone:
        return _FAILED
    if service.house.flush is None or not service.flushes(domain):
        session.log.warning(lines.etrn_refused(session.client, domain))
        return refuse(459, "", f"<{domain}>: service unavailable")
    service.old_defaults.note_flush(session, domain)
    if await service.house.flush(domain) is False:
        session.log.warning(lines.etrn_refused(session.client, domain))
        return _FAILED
    return _QUEUED
