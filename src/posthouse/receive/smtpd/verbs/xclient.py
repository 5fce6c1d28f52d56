"""XCLIENT: an authorized client says on whose behalf it speaks (XCLIENT_README)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.policy.request import Request
from posthouse.protocols.smtp_server import CommandSyntax, Reply, refuse
from posthouse.receive.smtpd.arrival import client_shown, welcome
from posthouse.receive.smtpd.attributes import TEMPORARILY_UNAVAILABLE, UNAVAILABLE, UNKNOWN, parse_attributes

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

ENDS_GROUP = True
KEYWORD = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"
_KNOWN = tuple(KEYWORD.split()[1:])
_IN_TRANSACTION = refuse(503, "5.5.1", "Error: MAIL transaction in progress")
NOT_AUTHORIZED = refuse(550, "5.7.0", "Error: insufficient authorization")


async def answer(session: Session, arguments: str) -> Reply | None:
    if session.transaction is not None:
        return _IN_TRANSACTION
    if arguments.strip() and not session.service.may_use(session, session.service.xclient_hosts):
        return NOT_AUTHORIZED
    try:
        told = parse_attributes("XCLIENT", arguments, _KNOWN, session.service.rules.ipv6)
        if told.get("PROTO", "SMTP").upper() not in ("SMTP", "ESMTP"):
            return refuse(501, "5.5.4", f"Bad PROTO syntax: {told['PROTO']}")
    except CommandSyntax as error:
        return error.reply
    session.count("xclient", good=False)  # as Postfix counts it
    session.request = _told(session.request, told)
    if session.tls is not None:
        session.tls.tell(session.request)
    session.client = client_shown(session)
    session.forget_transaction()
    session.xforward = None
    session.request.protocol_state = "XCLIENT"
    await welcome(session)
    return None


def _told(old: Request, told: dict[str, str]) -> Request:
    """A fresh request with what was told over what was known; HELO is forgotten unless told."""

    def value(name: str, before: str) -> str:
        found = told.get(name, before)
        return UNKNOWN if found in (UNAVAILABLE, TEMPORARILY_UNAVAILABLE) else found

    name, name_code = _name(told, "NAME", old.client_name, old.client_name_code)
    reverse, reverse_code = _name(told, "REVERSE_NAME", old.reverse_client_name, old.reverse_client_name_code)
    if "NAME" in told and "REVERSE_NAME" not in told:
        reverse, reverse_code = name, name_code
    login = told.get("LOGIN", "")
    request = Request(
        client_address=value("ADDR", old.client_address),
        client_port=value("PORT", old.client_port),
        client_name=name,
        client_name_code=name_code,
        reverse_client_name=reverse,
        reverse_client_name_code=reverse_code,
        server_address=value("DESTADDR", old.server_address),
        server_port=value("DESTPORT", old.server_port),
        protocol_name=value("PROTO", "SMTP").upper(),
        stress=old.stress,
    )
    if told.get("HELO", UNAVAILABLE) != UNAVAILABLE:
        request.helo_name = told["HELO"]
    if login and login != UNAVAILABLE:
        request.sasl_method, request.sasl_username = "XCLIENT", login
    return request


def _name(told: dict[str, str], key: str, before: str, code: int) -> tuple[str, int]:
    value = told.get(key)
    if value is None:
        return before, code
    if value == UNAVAILABLE:
        return UNKNOWN, 5
    return (UNKNOWN, 4) if value == TEMPORARILY_UNAVAILABLE else (value, 2)
