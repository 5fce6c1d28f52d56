"""Mail that passes through a filter before it is accepted: it is the filter that answers (smtpd_proxy_filter)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from posthouse.filters.smtpd_proxy_filter import ProxyConnection, ProxyFailure, ProxyRule
from posthouse.mail.content import FilePart
from posthouse.mail.status import Status
from posthouse.maillog import smtpd as smtpd_lines
from posthouse.maillog import smtpd_proxy as lines
from posthouse.protocols.smtp_client import ServerReply
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.checks import client_slots, quoted

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session
    from posthouse.receive.smtpd.transaction import Transaction

UNUSABLE = refuse(451, "4.3.0", "Error: queue file write error")
_LINE = re.compile(r"([2-5][0-9]{2})[ -]?(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|\Z))?(.*)", re.DOTALL)
_PIECE = 49_152  # bytes of a large body read at a time


@dataclass(slots=True)
class ProxyPassage:
    """What one transaction has said to the filter, or (speed_adjust) will say. has_data: it waits for the content."""

    commands: list[str] = field(default_factory=list)
    connection: ProxyConnection | None = None
    has_begun: bool = False
    has_data: bool = False

    def close(self) -> None:
        """The transaction is over."""
        if self.connection is not None:
            self.connection.close(politely=not self.has_data)
            self.connection = None


def note_sender(transaction: Transaction, words: Sequence[str]) -> None:
    """MAIL FROM goes to the filter with the first recipient."""
    transaction.passage = ProxyPassage([f"MAIL FROM:{' '.join(words)}"])


async def pass_recipient(
    session: Session, passage: ProxyPassage, words: Sequence[str], rule: ProxyRule
) -> Reply | None:
    """RCPT TO, that policy has let pass: the filter's refusal, or None."""
    line = f"RCPT TO:{' '.join(words)}"
    if rule.speed_adjust:
        if not passage.has_begun:
            _note_client(session)
        passage.has_begun = True
        passage.commands.append(line)
        return None
    if not passage.has_begun:
        refused = await _begin(session, passage, rule)
        if refused is not None:
            passage.close()
            _blame(session, refused)
            return refused
        passage.has_begun = True
        _note_client(session)
    refused = await _say(passage, line, 250, 251, 252)
    _blame(session, refused)
    return refused


async def pass_data(session: Session, rule: ProxyRule) -> Reply | None:
    """DATA: the filter's refusal, or None where the client may go on."""
    transaction = session.transaction
    passage = transaction.passage if transaction is not None else None
    if passage is None or rule.speed_adjust:
        return None
    refused = await _say(passage, "DATA", 354)
    passage.has_data = refused is None
    _blame(session, refused)
    return refused


async def pass_content(
    session: Session, transaction: Transaction, rule: ProxyRule, content: tuple[bytes, bytes | FilePart]
) -> Reply:
    """The whole message is here, and has passed our own checks: what the filter says to it, the client hears."""
    passage = transaction.passage
    assert passage is not None
    reply = await _replay(session, passage, rule) if rule.speed_adjust else None
    if reply is None:
        passage.has_data = False
        reply = await _hand_over(passage, _pieces(*content))
    about = smtpd_lines.about(
        quoted(transaction.sender),
        quoted(transaction.recipients[0].address),
        session.request.protocol_name,
        session.request.helo_name,
    )
    is_accepted = reply.status.code < 300
    session.log.info(lines.outcome("??".join(_rows(reply)), about, is_accepted=is_accepted))
    if not is_accepted:
        _blame(session, reply)
    return reply


def _blame(session: Session, refused: Reply | None) -> None:
    if refused is not None:
        session.blamed = "policy" if refused is not UNUSABLE else "software"


def _rows(reply: Reply) -> list[str]:
    return reply.wire().decode("utf-8", "replace").removesuffix("\r\n").split("\r\n")


def _pieces(header: bytes, body: bytes | FilePart) -> Iterator[bytes]:
    yield header
    if isinstance(body, bytes):
        yield body
        return
    with open(body.path, "rb") as file:
        file.seek(body.offset)
        left = body.length
        while left > 0 and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece


# -- the filter's side


async def _begin(session: Session, passage: ProxyPassage, rule: ProxyRule) -> Reply | None:
    """Connect, tell of the client, and of the sender."""
    passage.connection = connection = ProxyConnection(rule, session.log)
    try:
        await connection.open()
        if connection.xforward:
            await connection.forward(_origin(session))
    except ProxyFailure:
        return UNUSABLE
    return await _say(passage, passage.commands[0], 250)


async def _replay(session: Session, passage: ProxyPassage, rule: ProxyRule) -> Reply | None:
    """All that the client has said, now that its message is complete (speed_adjust)."""
    refused = await _begin(session, passage, rule)
    for line in passage.commands[1:]:
        if refused is None:
            refused = await _say(passage, line, 250, 251, 252)
    return refused if refused is not None else await _say(passage, "DATA", 354)


async def _say(passage: ProxyPassage, line: str, *good: int) -> Reply | None:
    """The filter's refusal of a command, or None."""
    assert passage.connection is not None
    try:
        reply = await passage.connection.command(line, *good)
    except ProxyFailure:
        return UNUSABLE
    if reply.code in good:
        return None
    return _as_reply(reply) if reply.code >= 400 else UNUSABLE


async def _hand_over(passage: ProxyPassage, pieces: Iterator[bytes]) -> Reply:
    assert passage.connection is not None
    try:
        reply = await passage.connection.content(pieces)
    except ProxyFailure:
        return UNUSABLE
    # Differs from Postfix: an answer that is neither yes nor no is no yes.
    return UNUSABLE if 300 <= reply.code < 400 else _as_reply(reply)


def _as_reply(said: ServerReply) -> Reply:
    """A reply of the filter for the client."""
    if len(said.lines) > 1:
        rows = [row[4:] for row in said.lines]
        return Reply(Status("", said.code, rows[-1]), tuple(rows[:-1]), closes=said.code == 421)
    found = _LINE.match(said.lines[0])
    if found is None:
        return UNUSABLE
    return Reply(Status(found[2] or "", said.code, found[3]), closes=said.code == 421)


def _note_client(session: Session) -> None:
    session.log.info(smtpd_lines.client("NOQUEUE", session.client, client_slots(session)))


def _origin(session: Session) -> dict[str, str]:
    """The client as XFORWARD tells of it; what an authorized client has told goes on."""
    request, transaction = session.request, session.transaction
    is_local = transaction is not None and transaction.rewrite_context == "local"
    known = {
        "NAME": request.client_name,
        "ADDR": _address(request.client_address),
        "PORT": request.client_port,
        "HELO": request.helo_name or "",
        "IDENT": "",
        "PROTO": request.protocol_name,
        "SOURCE": "LOCAL" if is_local else "REMOTE",
    }
    if session.xforward is not None:
        known |= {name: value for name, value in session.xforward.items() if name in known}
    return {name: "" if value == "unknown" else value for name, value in known.items()}


def _address(address: str) -> str:
    return f"IPV6:{address}" if ":" in address else address
