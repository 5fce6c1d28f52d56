"""A client arrives: who is it, may it come in, and what is it told first (smtpd(8), smtpd_peer)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from posthouse.maillog import smtpd as lines
from posthouse.policy.request import Request
from posthouse.protocols.smtp_server import Reply, ok, refuse
from posthouse.receive.smtpd.checks import obey

if TYPE_CHECKING:
    from posthouse.receive.smtpd.milters import SmtpdMilters
    from posthouse.receive.smtpd.session import Session

LOCALHOST = ("localhost", "127.0.0.1")


def endpoint(name: Any) -> tuple[str, str]:
    """(address, port) of a socket's name; a socket pair (sendmail -bs) counts as this host."""
    if not isinstance(name, tuple) or len(name) < 2:
        return "", ""
    address = str(name[0]).partition("%")[0]
    if address.lower().startswith("::ffff:") and "." in address:
        address = address[7:]
    return address, str(name[1])


def client_shown(session: Session) -> str:
    """The client as "name[address]", with ":port" by smtpd_client_port_logging."""
    request = session.request
    port = f":{request.client_port}" if session.service.rules.log_port and request.client_port else ""
    return f"{request.client_name}[{request.client_address}]{port}"


async def greet(session: Session, peer: Any, own: Any) -> Reply | None:
    """Find the client's names, count it, ask policy, and send the greeting."""
    address, port = endpoint(peer)
    server_address, server_port = endpoint(own)
    session.request = request = Request(
        client_address=address or LOCALHOST[1],
        client_port=port,
        server_address=server_address,
        server_port=server_port,
        stress=session.service.stress,
    )
    if address:
        await _find_names(session)
    else:
        request.client_name = request.reverse_client_name = LOCALHOST[0]
    session.client = client_shown(session)
    session.keyword_limits = session.service.discarded_keywords(request.client_address)
    session.log.info(lines.connect(session.client))
    service = session.service
    if session.service.tls is not None and not await _wrap(session):
        return None
    session.may_forward = service.may_use(session, service.xforward_hosts)
    refused = session.service.count_connection(session)
    if refused is not None:
        session.send(refused)
        return None
    if session.has_more_input():
        session.note_pipelining("CONNECT")
        if session.service.rules.forbid_pipelining:
            session.send(refuse(554, "5.5.0", "Error: SMTP protocol synchronization", closes=True))
            return None
    await welcome(session)
    return None


async def _wrap(session: Session) -> bool:
    """smtpd_tls_wrappermode: TLS before anything is said. False where the session ends here."""
    service, server = session.service, session.service.tls
    if server is None or not server.rules.is_wrapped:
        return True
    if service.clients.may_not_begin_tls(session, "TLS service"):
        session.closing = True
        return False
    context = await server.context(time.time())
    if context is None:
        session.log.warning(lines.wrapper_dropped(session.client, service.rules.service_name))
        session.closing = True
        return False
    if not await server.secure(session, context, session.take_input()):
        return False
    refused = service.clients.new_tls_session(session) or server.refusal(session)
    if refused is not None:
        session.send(refused)
    return refused is None


async def welcome(session: Session) -> None:
    """The banner, or policy's refusal of the client (which then may only QUIT)."""
    session.denied = await obey(session, session.service.gate.connect(session.request), "CONNECT")
    if session.denied is not None:
        session.send(session.denied)
        return
    greeting = session.service.banner
    if session.service.milters is not None:
        greeting = await _meet_milters(session, session.service.milters) or greeting
    session.send(greeting)


async def _meet_milters(session: Session, milters: SmtpdMilters) -> Reply | None:
    """What they say instead of the banner; those of a client before XCLIENT are let go."""
    if session.milters is not None:
        session.milters.disconnect()
    session.milters = milters.begin(session)
    return None if session.milters is None else await session.milters.greet()


async def _find_names(session: Session) -> None:
    request, house, rules = session.request, session.service.house, session.service.rules
    if house.dns is None:
        request.client_name_code = request.reverse_client_name_code = 5
        return
    names = await house.dns.client_names(request.client_address, peername_lookup=rules.peername_lookup)
    request.client_name, request.reverse_client_name = names.name, names.reverse_name
    request.client_name_code, request.reverse_client_name_code = names.name_code, names.reverse_code
    if getattr(names, "warning", ""):
        session.log.warning(names.warning)


def banner(text: str) -> Reply:
    """220 with smtpd_banner."""
    return ok(text, "", 220)
