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
from posthouse.lookup.table import failure_warnings
from posthouse.mail.address import fold_address
from posthouse.mail.message import QueuedMessage
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
        self._prefix, self._log = prefix, log
        self.enabled = settings.flag(f"{prefix}_sasl_auth_enable")
        self._passwords = open_maps(settings, f"{prefix}_sasl_password_maps")
        self.by_sender = settings.flag(f"{prefix}_sender_dependent_authentication")
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

    async def log_in(self, connection: Connection, message: QueuedMessage, next_hop: str) -> Deferred | Bounced | None:
        """None when logged in, or when there is nothing to log in with; else why not."""
        peer, features = connection.peer, connection.features
        if "AUTH" not in features.keywords:
            return None
        try:
            allowed = [
                word for word in features.auth if not self._has_filter or await self._filter.matches(word.lower())
            ]
            if not allowed:
                self._log.warning(lines.no_mechanisms(peer.relay, features.auth))
            secret = await self._password(message.envelope.sender, peer.name, next_hop)
        except LookupFailed:
            self._log.warning(f"{message.queue_id}: {self._prefix}_sasl_password_maps lookup error")
            return Deferred(
                Status("4.3.0", 0, f"local data error while talking to {peer.shown}"), peer.relay, peer.name
            )
        if secret is None:
            return None
        if not allowed:
            text = f"SASL authentication failed: server {peer.shown} offered no compatible authentication mechanisms"
            status = Status("4.7.0", 0, f"{text} for this type of connection security")
            return Deferred(status, peer.relay, peer.name)
        return await self._log_in_by(connection, allowed, secret)

    async def _log_in_by(self, connection: Connection, allowed: list[str], secret: str) -> Deferred | Bounced | None:
        user, _, password = secret.partition(":")
        options = self._options[2 if connection.is_verified else 1 if connection.tls is not None else 0]
        name = choose_mechanism(allowed, options)
        if not name:
            self._log.warning("SASL authentication failure: No worthy mechs found")
            return self._failed(connection, "cannot authenticate to server {}: no mechanism available")
        if not user.strip():
            self._log.warning("SASL authentication failure: All-whitespace username.")
            return self._failed(connection, "cannot authenticate to server {}: generic failure")
        mechanism = make_mechanism(name, user, password, lambda: secrets.token_urlsafe(18))
        try:
            reply = await self._dialogue(connection, mechanism)
        except (ConnectionLost, TimedOut) as error:
            return failure.broken(connection.peer, error, f"performing the {self._hello} handshake")
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
        detail = "7.0" if reply is None else reply.dsn[2:] if reply.dsn else "0.0"
        if reply is not None and reply.is_permanent and not self._soft:
            return Bounced(Status(f"5.{detail}", reply.code, text), peer.relay, peer.name, f"smtp; {reply.said}")
        diagnostic = f"smtp; {reply.said}" if reply else ""
        return Deferred(Status(f"4.{detail}", reply.code if reply else 0, text), peer.relay, peer.name, diagnostic)

    def _tell(self, failed: LookupFailed, key: str) -> None:
        for text in failure_warnings(failed, key):
            self._log.warning(text)

    async def _password(self, sender: str, host: str, next_hop: str) -> str | None:
        """As user:password, by sender, by the server's name, by the next-hop destination."""
        if self.by_sender and sender:
            address = fold_address(sender)
            try:
                found = await find_address(self._passwords, address, delimiters=self._delimiters)
            except LookupFailed as failed:
                self._tell(failed, address)
                raise
            if found is not None:
                return found.value
        for key in (host, next_hop):
            try:
                value = await self._passwords.find(key)
            except LookupFailed as failed:
                self._tell(failed, key)
                raise
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


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
