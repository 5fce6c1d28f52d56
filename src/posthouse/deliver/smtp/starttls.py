"""STARTTLS as a client: encrypt, then judge the certificate as the destination's policy asks (RFC 3207, TLS_README)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace

from posthouse.config.settings import Settings
from posthouse.deliver.smtp import failure
from posthouse.deliver.smtp.connection import Connection
from posthouse.deliver.smtp.peer import Peer
from posthouse.deliver.smtp.tls_engine import BadDemand, TlsEngine
from posthouse.deliver.smtp.tls_policy import TlsDemand
from posthouse.deliver.smtp.tls_policy_row import Level
from posthouse.errors import PosthouseError
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.status import Status
from posthouse.maillog import smtp as lines
from posthouse.protocols.tls_names import certificate_matches, expected_names
from posthouse.system.key_files import KeyFiles
from posthouse.system.log import DaemonLog
from posthouse.system.tls import PeerCertificate, Verdict, described_session, peer_certificate, verify_problem

_HOSTNAME_MISMATCH = Verdict(62, "hostname mismatch")
_FINGERPRINT_MISMATCH = Verdict(65, "no matching DANE TLSA records")  # OpenSSL's words for any set of fingerprints


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a certificate is worth.

    is_trusted: the chain leads to a known authority; is_matched: it is the one that the policy wants; problem: what
    OpenSSL found fault with.
    """

    is_trusted: bool
    is_matched: bool
    problem: Verdict | None = None


class TlsClient:
    """TLS of one smtp or lmtp service."""

    def __init__(self, settings: Settings, prefix: str, log: DaemonLog, files: KeyFiles) -> None:
        self._log = log
        self._engine = TlsEngine(settings, prefix, log, files)
        self._log_level = settings.integer(f"{prefix}_tls_loglevel")
        self._digest = settings.text(f"{prefix}_tls_fingerprint_digest")
        self._limit = settings.seconds(f"{prefix}_starttls_timeout")
        self._notes_offers = settings.flag(f"{prefix}_tls_note_starttls_offer")

    async def negotiate(self, connection: Connection, demand: TlsDemand) -> Deferred | Bounced | None:
        """STARTTLS as far as the policy and the server want it. None: go on (connection.tls tells with what)."""
        peer, offered = connection.peer, connection.features.starttls
        if demand.level is Level.NONE or not offered:
            if offered and self._notes_offers:
                self._log.info(lines.starttls_offered(peer.name))
            return _required("4.7.4", f"was not offered by host {peer.shown}", peer) if demand.is_mandatory else None
        if not await self._engine.is_ready():
            return _required("4.7.5", "our TLS engine is unavailable", peer) if demand.is_mandatory else None
        connection.send(b"STARTTLS\r\n")
        try:
            reply = await connection.reply(self._limit)
        except PosthouseError as error:
            return failure.broken(peer, error, "receiving the STARTTLS response")
        if reply.code == 220:
            return await self.begin(connection, demand)
        return failure.refused_tls(peer, reply) if demand.is_mandatory else None

    async def begin(self, connection: Connection, demand: TlsDemand) -> Deferred | None:
        """Encrypt the connection and check the peer. On a refusal the connection must not carry mail."""
        peer = connection.peer
        if not await self._engine.is_ready():
            return _required("4.7.5", "our TLS engine is unavailable", peer)
        if not await self._shake_hands(connection, demand):
            connection.tls_failed = True
            return Deferred(Status("4.7.5", 0, "Cannot start TLS: handshake failure"), peer.relay, peer.name)
        session = connection.tls
        certificate = peer_certificate(session)
        judgement = self._judge(certificate, demand, peer.name)
        relay = peer.relay.lower()  # as Postfix has it in these lines
        if judgement.problem and demand.is_checked:
            self._log.info(verify_problem(relay, "server", judgement.problem))
        if self._log_level >= 1:
            trust = _trust_word(certificate, demand, judgement)
            self._log.info(lines.tls_established(trust, relay, described_session(session)))
        connection.is_verified = judgement.is_matched and demand.is_checked
        connection.reuses_tls = demand.reuses
        if demand.is_checked and not judgement.is_matched:
            return Deferred(Status("4.7.5", 0, "Server certificate not verified"), peer.relay, peer.name)
        connection.may_resume = True
        return None

    async def _shake_hands(self, connection: Connection, demand: TlsDemand) -> bool:
        relay = connection.peer.relay.lower()
        names = {"hostname": connection.peer.name, "nexthop": demand.domain}
        try:
            name = names.get(demand.server_name, demand.server_name)
            context = self._engine.context(demand, (connection.peer.address, connection.peer.port, name))
            await connection.start_tls(context, name, self._limit)
        except BadDemand as bad:
            self._log.warning(f"{relay}: {bad}")
            return False
        except ssl.SSLError as error:
            self._log.info(lines.handshake_failed(relay, "-1"))
            self._log.warning(lines.library_problem(str(error)))
            return False
        except TimeoutError:
            self._log.info(lines.handshake_failed(relay, "Connection timed out"))
            return False
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", "") or str(error) or "lost connection"
            self._log.info(lines.handshake_failed(relay, why))
            return False
        return True

    def _judge(self, certificate: PeerCertificate, demand: TlsDemand, host: str) -> Judgement:
        if demand.level is Level.FINGERPRINT:
            shown = {certificate.fingerprint(self._digest), certificate.public_key_fingerprint(self._digest)}
            matched = bool(shown & set(demand.match))
            return Judgement(matched, matched, None if matched else _FINGERPRINT_MISMATCH)
        if not certificate.chain:
            return Judgement(is_trusted=False, is_matched=False)
        try:
            verdict = self._engine.store(demand.anchors).verify(certificate.chain, "server")
        except ValueError as error:
            self._log.warning(str(error))
            return Judgement(is_trusted=False, is_matched=False)
        if verdict.number:
            return Judgement(False, False, verdict)
        if demand.level < Level.VERIFY:
            return Judgement(is_trusted=True, is_matched=False)
        if certificate_matches(expected_names(demand.match, host, demand.domain), certificate.names):
            return Judgement(is_trusted=True, is_matched=True)
        return Judgement(False, False, _HOSTNAME_MISMATCH)


def _required(dsn: str, why_not: str, peer: Peer) -> Deferred:
    return Deferred(Status(dsn, 0, f"TLS is required, but {why_not}"), peer.relay, peer.name)


def weaker(demand: TlsDemand) -> TlsDemand:
    """The same without TLS: the second try where TLS is only welcome."""
    return replace(demand, level=Level.NONE)


def _trust_word(certificate: PeerCertificate, demand: TlsDemand, judgement: Judgement) -> str:
    if not certificate.chain:
        return "Anonymous"
    if demand.is_checked and judgement.is_matched:
        return "Verified"
    return "Trusted" if judgement.is_trusted else "Untrusted"
