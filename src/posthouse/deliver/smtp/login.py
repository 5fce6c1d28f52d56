"""SASL as a client: which password for which server, and the AUTH dialogue (RFC 4954, SASL_README)."""

from __future__ import annotations

import base64
import secrets
from dataclasses import replace

from posthouse.config.settings import Settings
from posthouse.deliver.smtp import failure
from posthouse.deliver.smtp.connection import Connection, ConnectionLost, TimedOut
from posthouse.errors import LookupFailed, ProtocolError
from posthouse.lookup.address_keys import find_address
from posthouse.lookup.maps import open_maps
from posthouse.lookup.match_list import MatchList
from posthouse.mail.address import fold_address
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.status import Status
from posthouse.maillog import smtp as lines
from posthouse.protocols.sasl_client import Mechanism, choose_mechanism, make_mechanism
from posthouse.protocols.smtp_client import ServerReply
from posthouse.system.log import DaemonLog

MAX_STEPS = 8


class SaslClient:
    """Logins of one smtp or lmtp service."""

    def __init__(self, settings: Settings, prefix: str, log: DaemonLog) -> None:
        self._log = log
        self.enabled = settings.flag(f"{prefix}_sasl_auth_enable")
        self._passwords = open_maps(settings, f"{prefix}_sasl_password_maps")
        self.by_sender = settings.flag("smtp_sender_dependent_authentication") and prefix == "smtp"
        self._soft = settings.flag(f"{prefix}_sasl_auth_soft_bounce")
        names = ("", "tls_", "tls_verified_")
        self._options = [
            frozenset(word.lower() for word in settings.items(f"{prefix}_sasl_{name}security_options"))
            for name in names
        ]
        self._filter = MatchList(settings, f"{prefix}_sasl_mechanism_filter")
        self._has_filter = bool(settings.items(f"{prefix}_sasl_mechanism_filter"))
        self._hello = "LHLO" if prefix == "lmtp" else "EHLO"
        self._delimiters = settings.text("recipient_delimiter")
        self._limit = settings.seconds(f"{prefix}_{'lhlo' if prefix == 'lmtp' else 'helo'}_timeout")

    async def log_in(self, connection: Connection, sender: str, next_hop: str) -> Deferred | Bounced | None:
        """None when logged in, or when there is nothing to log in with; else why not. Raises LookupFailed."""
        peer, offered = connection.peer, connection.features.auth
        if not offered:
            return None
        secret = await self._password(sender, peer.name, next_hop)
        if secret is None:
            return None
        allowed = [word for word in offered if not self._has_filter or await self._filter.matches(word.lower())]
        if not allowed:
            self._log.warning(lines.no_mechanism_left(peer.relay.lower(), offered))
            return Deferred(Status("4.7.0", 0, lines.nothing_compatible(peer.shown)), peer.relay, peer.name)
        user, _, password = secret.partition(":")
        options = self._options[2 if connection.is_verified else 1 if connection.tls is not None else 0]
        name = choose_mechanism(allowed, options)
        if not name or not user.strip():
            self._log.warning(lines.login_not_begun("All-whitespace username." if name else "No worthy mechs found"))
            why = "generic failure" if name else "no mechanism available"
            return self._failed(connection, f"cannot authenticate to server {{}}: {why}")
        return await self._ask(connection, make_mechanism(name, user, password, _nonce), user, password)

    async def _ask(
        self, connection: Connection, mechanism: Mechanism, user: str, password: str
    ) -> Deferred | Bounced | None:
        peer = connection.peer
        try:
            reply = await self._dialogue(connection, mechanism)
        except (ConnectionLost, TimedOut) as error:
            return failure.broken(peer, error, f"performing the {self._hello} handshake")
        except (ProtocolError, ValueError) as error:
            return self._failed(connection, f"cannot authenticate to server {{}}: {error}")
        if reply.code == 235:
            return None
        reply = without_secret(reply, user, password)
        return self._failed(connection, f"server {{}} said: {reply.said}", reply)

    async def has_password(self, sender: str, host: str, next_hop: str) -> bool:
        """Whether there is something to log in with; in doubt, yes."""
        try:
            return await self._password(sender, host, next_hop) is not None
        except LookupFailed:
            return True

    async def _dialogue(self, connection: Connection, mechanism: Mechanism) -> ServerReply:
        first = mechanism.initial()
        words = ["AUTH", mechanism.name] if first is None else ["AUTH", mechanism.name, _encode(first) or "="]
        connection.send(" ".join(words).encode() + b"\r\n")
        reply = await connection.reply(self._limit)
        for _ in range(MAX_STEPS):
            if reply.code != 334:
                return reply
            challenge = base64.b64decode(reply.lines[-1][4:].strip(), validate=True)
            connection.send(_encode(mechanism.answer(challenge)).encode() + b"\r\n")
            reply = await connection.reply(self._limit)
        raise ProtocolError("too many challenges")

    def _failed(self, connection: Connection, words: str, reply: ServerReply | None = None) -> Deferred | Bounced:
        peer = connection.peer
        text = f"SASL authentication failed; {words.format(peer.shown)}" if "{}" in words else words
        detail = "7.0" if reply is None else reply.dsn[2:] or "0.0"
        if reply is not None and reply.is_permanent and not self._soft:
            return Bounced(Status(f"5.{detail}", reply.code, text), peer.relay, peer.name, f"smtp; {reply.said}")
        diagnostic = f"smtp; {reply.said}" if reply else ""
        return Deferred(Status(f"4.{detail}", reply.code if reply else 0, text), peer.relay, peer.name, diagnostic)

    async def _password(self, sender: str, host: str, next_hop: str) -> str | None:
        """As user:password, by sender, by the server's name, by the next-hop destination."""
        if self.by_sender and sender:
            found = await find_address(self._passwords, fold_address(sender), delimiters=self._delimiters)
            if found is not None:
                return found.value
        for key in (host, next_hop):
            value = await self._passwords.find(key)
            if value is not None:
                return value
        return None


def without_secret(reply: ServerReply, user: str, password: str) -> ServerReply:
    """A refusal for the log and the sender, which must not learn the password from a server that repeats it."""
    plain = (password, _encode(password.encode()), _encode(f"\0{user}\0{password}".encode()))
    lines = list(reply.lines)
    for secret in plain if len(password) > 3 else plain[2:]:
        lines = [line.replace(secret, "[...]") for line in lines]
    return replace(reply, lines=tuple(lines))


def _nonce() -> str:
    return secrets.token_urlsafe(18)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
