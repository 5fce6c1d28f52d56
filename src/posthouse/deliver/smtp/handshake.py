"""From the greeting to a session that may begin a transaction: EHLO, HELO or LHLO (RFC 5321, 3.2; RFC 2033, 4.1)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from posthouse.deliver.smtp import failure
from posthouse.deliver.smtp.connection import Connection
from posthouse.deliver.smtp.hosts import SMTP_PORT
from posthouse.errors import LookupFailed, PosthouseError
from posthouse.lookup.maps import Maps
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.status import Status
from posthouse.protocols.smtp_client import Features, ServerReply, features


@dataclass(frozen=True, slots=True)
class HelloRules:
    """How this agent says hello. name is what it calls itself; greeting_limit and hello_limit are in seconds.

    discard are EHLO keywords (lower case) to overlook, discard_maps the same for certain servers (by address).
    skip_4xx and skip_5xx: such a greeting means "try another host". detect_loop: a server that has our name is us.
    """

    name: str
    lmtp: bool
    greeting_limit: float
    hello_limit: float
    discard: frozenset[str]
    discard_maps: Maps
    never_ehlo: bool
    always_ehlo: bool
    skip_4xx: bool
    skip_5xx: bool
    own_name: str
    detect_loop: bool


async def shake_hands(connection: Connection, rules: HelloRules) -> Deferred | Bounced | None:
    """None when the server is ready; connection.features then says what it can."""
    phase = failure.GREETING
    try:
        greeting = await connection.reply(rules.greeting_limit)
        if greeting.code != 220:
            return _unwelcome(connection, greeting, rules)
        wants_ehlo = not rules.never_ehlo and (rules.always_ehlo or "ESMTP" in greeting.said)
        if rules.lmtp or wants_ehlo:
            verb = "LHLO" if rules.lmtp else "EHLO"
            phase = f"performing the {verb} handshake"
            reply = await _hello(connection, verb, rules)
            if reply.code == 250:
                connection.features = await _features(connection, reply, rules)
                return _own_self(connection, rules)
            if rules.lmtp or not reply.is_permanent:
                return failure.refused_to_talk(connection.peer, reply, permanent=reply.is_permanent)
        phase = "performing the HELO handshake"
        reply = await _hello(connection, "HELO", rules)
        if reply.code == 250:
            connection.features = Features(name=reply.lines[0][4:].split(" ")[0])
            return _own_self(connection, rules)
        return failure.refused_to_talk(connection.peer, reply, permanent=reply.is_permanent)
    except PosthouseError as error:
        return failure.broken(connection.peer, error, phase)


async def greet_again(connection: Connection, rules: HelloRules) -> Deferred | Bounced | None:
    """EHLO once more under TLS: what was said before does not count (RFC 3207, 4.2)."""
    verb = "LHLO" if rules.lmtp else "EHLO"
    try:
        reply = await _hello(connection, verb, rules)
    except PosthouseError as error:
        return failure.broken(connection.peer, error, f"performing the {verb} handshake")
    if reply.code != 250:
        return failure.refused_to_talk(connection.peer, reply, permanent=reply.is_permanent)
    connection.features = await _features(connection, reply, rules)
    return None


async def _features(connection: Connection, reply: ServerReply, rules: HelloRules) -> Features:
    """What the server offers, less what we are told to overlook. A table that fails overlooks nothing."""
    discard = rules.discard
    if not rules.discard_maps.empty:
        with contextlib.suppress(LookupFailed):
            found = await rules.discard_maps.find(connection.peer.address)
            discard = discard if found is None else frozenset(found.lower().replace(",", " ").split())
    return features(reply, discard)


async def _hello(connection: Connection, verb: str, rules: HelloRules) -> ServerReply:
    connection.send(f"{verb} {rules.name}\r\n".encode())
    return await connection.reply(rules.hello_limit)


def _unwelcome(connection: Connection, greeting: ServerReply, rules: HelloRules) -> Deferred | Bounced:
    skips = rules.skip_5xx if greeting.is_permanent else rules.skip_4xx
    return failure.refused_to_talk(connection.peer, greeting, permanent=greeting.is_permanent and not skips)


def _own_self(connection: Connection, rules: HelloRules) -> Bounced | None:
    peer = connection.peer
    if not rules.detect_loop or peer.port != SMTP_PORT or connection.features.name.lower() != rules.own_name.lower():
        return None
    return Bounced(Status("5.4.6", 0, f"mail for {peer.name} loops back to myself"), peer.relay, peer.name)
