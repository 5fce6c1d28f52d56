"""EHLO and what the server can do (RFC 5321, 4.1.1.1; postconf(5), smtpd_discard_ehlo_keywords)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.mail.status import Status
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.verbs.helo import introduce

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

IS_JUNK = True
ENDS_GROUP = True
_SYNTAX = refuse(501, "", "Syntax: EHLO hostname")


async def answer(session: Session, arguments: str) -> Reply:
    if not arguments:
        return _SYNTAX
    refused = await introduce(session, arguments, "EHLO")
    if refused is not None:
        return refused
    service = session.service
    if session.milters is not None and session.milters.is_unwelcome:
        return _greeting(service.rules.myhostname, ("ENHANCEDSTATUSCODES",), session)
    extras = service.extra_keywords(session)
    if service.tls is not None and session.tls is None:
        extras = ("STARTTLS", *extras)
    if service.logins is not None:
        login = await service.logins.keywords(session)
        extras = (*extras[:1], *login, *extras[1:]) if extras[:1] == ("STARTTLS",) else (*login, *extras)
    if session.keyword_limits and "silent-discard" not in session.keyword_limits:
        session.log.info(lines.keywords_discarded(session.keyword_limits))
    return _greeting(session.service.rules.myhostname, _offer(session, extras), session)


def _offer(session: Session, extras: tuple[str, ...]) -> tuple[str, ...]:
    rules = session.service.rules
    words = ["PIPELINING", f"SIZE {rules.size_limit}" if rules.size_limit else "SIZE"]
    if not rules.disable_vrfy:
        words.append("VRFY")
    words += ["ETRN", *extras, "ENHANCEDSTATUSCODES", "8BITMIME", "DSN"]
    if rules.smtputf8:
        words.append("SMTPUTF8")
    words.append("CHUNKING")
    left_out = session.keyword_limits
    if not left_out:
        return tuple(words)
    return tuple(word for word in words if word.replace("=", " ").partition(" ")[0].lower() not in left_out)


_made: dict[tuple[str, tuple[str, ...]], Reply] = {}


def _greeting(name: str, words: tuple[str, ...], session: Session) -> Reply:
    del session
    key = (name, words)
    reply = _made.get(key)
    if reply is None:
        everything = (name, *words)
        reply = Reply(Status("", 250, everything[-1]), everything[:-1])
        if len(_made) < 1000:
            _made[key] = reply
    return reply
