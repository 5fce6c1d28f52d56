"""From a line to the verb that answers it: command filter, no-op and forbidden commands (smtpd(8))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from posthouse.errors import LookupFailed
from posthouse.mail.status import Status
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.verbs import NOOP_OK

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session
    from posthouse.receive.smtpd.verbs import Verb

_HEADER = re.compile(r"[!-9;-~]+[ \t]*:")
RUDE = Reply(Status("2.7.0", 221, "Error: I can break rules, too. Goodbye."), closes=True, is_error=True)
NOT_RECOGNIZED = refuse(500, "5.5.2", "Error: command not recognized")
REDACTED = b"[...]"
BAD_SYNTAX = refuse(500, "5.5.2", "Error: bad syntax")


def split_command(session: Session, line: bytes) -> tuple[str, str]:
    """(word in capitals, arguments), after smtpd_command_filter."""
    text = line.decode("utf-8", "surrogateescape")
    filters = session.service.command_filter
    if filters is not None:
        try:
            replaced = filters.lookup(text)
            if replaced is not None:
                session.log.info(lines.command_replaced(session.client, text, replaced))
                text = replaced
        except LookupFailed as failed:
            session.log.warning(f"{failed}: command filter lookup failed")
            text = "NOOP"  # as Postfix: nothing passes unfiltered
    word, _, arguments = text.lstrip(" \t\r\v\f").replace("\t", " ").partition(" ")
    return word.upper(), arguments.strip(" ")


def find_command(session: Session, word: str, line: bytes) -> Verb | Reply:
    """The verb, or the reply where there is none to ask."""
    service = session.service
    if not word:
        return BAD_SYNTAX
    verb = service.verbs.get(word)
    if service.rules.noop_commands and word in service.rules.noop_commands:
        return NOOP_OK if verb is None else verb.without_effect()
    if verb is not None:
        session.is_after_login = verb.word == "AUTH"
        return verb
    session.where = "UNKNOWN"
    text = line.decode("utf-8", "surrogateescape").split(None, 1)[0] if line.split() else ""
    if session.is_after_login:  # a client that goes on with a login that was refused: this may be its password
        session.history[-1] = line = REDACTED
    if _HEADER.match(text) or service.forbids(text):
        session.log.warning(lines.not_smtp(session.client, line))
        return RUDE
    return NOT_RECOGNIZED
