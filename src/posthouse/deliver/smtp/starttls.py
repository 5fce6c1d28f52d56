"""STARTTLS as a client: encrypt, then judge the certificate as the destination's policy asks (RFC 3207, TLS_README)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace

from posthouse.config.settings import Settings
from posthouse.deliver.smtp import failure
from posthouse.deliver.smtp.connection import Connection
from posthouse.deliver.smtp.tls_policy import Level, TlsPolicy
from posthouse.errors import PosthouseError
from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.protocols.tls_names import certificate_matches, expected_names
from posthouse.system.key_files import KeyFiles
from posthouse.system.log import DaemonLog
from posthouse.system.tls import (
    PeerCertificate,
    TrustStore,
    cipher_list,
    described_session,
    limit_protocols,
    parse_protocols,
    peer_certificate,
    verify_problem,
)

_GRADES = ("high", "medium", "low", "export", "null")
_HOSTNAME_MISMATCH = (62, "hostname mismatch")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a certificate is worth.

    is_trusted: the chain leads to a known authority; is_matched: it is the one that the policy wants; problem: for the
    log ("" none).
    """

    is_trusted: bool
    is_matched: bool
    problem: str = ""


class TlsClient:
    """TLS of one smtp or lmtp service. Contexts are made once for each combination of versions, ciphers and files."""

    def __init__(self, settings: Settings, prefix: str, log: DaemonLog, files: KeyFiles) -> None:
        self._settings, self._prefix, self._log, self._files = settings, prefix, log, files
        self._log_level = settings.integer(f"{prefix}_tls_loglevel")
        self._digest = settings.text(f"{prefix}_tls_fingerprint_digest")
        self._limit = settings.seconds(f"{prefix}_starttls_timeout")
        self._notes_offers = settings.flag(f"{prefix}_tls_note_starttls_offer")
        self._contexts: dict[tuple[object, ...], ssl.SSLContext] = {}
        self._stores: dict[str, TrustStore] = {}

    async def negotiate(self, connection: Connection, policy: TlsPolicy, next_hop: str) -> Deferred | None:
        """STARTTLS as far as the policy and the server want it. None: go on (connection.tls tells with what)."""
        peer, offered = connection.peer, connection.features.starttls
        if policy.level is Level.NONE or not offered:
            if offered and self._notes_offers:
                self._log.info(f"Host offered STARTTLS: [{peer.name}]")
            if policy.is_mandatory:
                text = f"TLS is required, but was not offered by host {peer.shown}"
                return Deferred(Status("4.7.4", 0, text), peer.relay, peer.name)
            return None
        connection.send(b"STARTTLS\r\n")
        try:
            reply = await connection.reply(self._limit)
        except PosthouseError as error:
            return failure.broken(peer, error, "sending STARTTLS")
        if reply.code == 220:
            return await self.begin(connection, policy, next_hop)
        if policy.is_mandatory:
            text = f"TLS is required, but host {peer.shown} refused to start TLS: {reply.said}"
            return Deferred(Status("4.7.4", reply.code, text), peer.relay, peer.name, f"smtp; {reply.said}")
        return None

    async def begin(self, connection: Connection, policy: TlsPolicy, next_hop: str) -> Deferred | None:
        """Encrypt the connection and check the peer. On a refusal the connection must not carry mail."""
        peer = connection.peer
        try:
            context = self._context(policy)
            await connection.start_tls(context, policy.server_name, self._limit)
        except (TimeoutError, OSError, ValueError) as error:
            if isinstance(error, ssl.SSLError):
                self._log.info(f"SSL_connect error to {peer.relay}: -1")
                self._log.warning(f"TLS library problem: {error}")
            else:
                self._log.info(f"SSL_connect error to {peer.relay}: {error or 'timed out'}")
            connection.tls_failed = True
            return Deferred(Status("4.7.5", 0, "Cannot start TLS: handshake failure"), peer.relay, peer.name)
        session = connection.tls
        judgement = self._judge(peer_certificate(session), policy, peer.name, next_hop)
        if judgement.problem and policy.level >= Level.FINGERPRINT:
            self._log.info(judgement.problem.replace("{peer}", peer.relay))
        if self._log_level >= 1:
            trust = _trust_word(policy, judgement, has_certificate=bool(session.getpeercert(binary_form=True)))
            established = f"{trust} TLS connection established to {peer.relay}: {described_session(session)}"
            self._log.info(established)
        connection.is_verified = judgement.is_matched and policy.level >= Level.FINGERPRINT
        if policy.level >= Level.FINGERPRINT and not judgement.is_matched:
            return Deferred(Status("4.7.5", 0, "Server certificate not verified"), peer.relay, peer.name)
        return None

    def _judge(self, certificate: PeerCertificate, policy: TlsPolicy, host: str, next_hop: str) -> Judgement:
        if policy.level is Level.FINGERPRINT:
            shown = {certificate.fingerprint(self._digest), certificate.public_key_fingerprint(self._digest)}
            matched = bool(shown & {text.upper() for text in policy.match})
            return Judgement(
                matched, matched, "" if matched else "certificate verification failed for {peer}: fingerprint"
            )
        if not certificate.chain:
            return Judgement(is_trusted=False, is_matched=False)
        number, words = self._store(policy).verify(certificate.chain)
        if number:
            return Judgement(False, False, verify_problem("{peer}", "server", number, words))
        patterns = expected_names(policy.match, host, _domain_of(next_hop))
        if policy.level < Level.VERIFY:
            return Judgement(is_trusted=True, is_matched=False)
        if certificate_matches(patterns, certificate.names):
            return Judgement(is_trusted=True, is_matched=True)
        return Judgement(False, False, verify_problem("{peer}", "server", *_HOSTNAME_MISMATCH))

    def _store(self, policy: TlsPolicy) -> TrustStore:
        store = self._stores.get(policy.ca_file)
        if store is None:
            store = self._stores[policy.ca_file] = TrustStore(
                policy.ca_file or self._settings.text(f"{self._prefix}_tls_CAfile"),
                "" if policy.ca_file else self._settings.text(f"{self._prefix}_tls_CApath"),
                system_too=self._settings.flag("tls_append_default_CA"),
            )
        return store

    def _context(self, policy: TlsPolicy) -> ssl.SSLContext:
        key = (policy.protocols, policy.ciphers, policy.exclude)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = self._make_context(policy)
        return context

    def _make_context(self, policy: TlsPolicy) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        limit_protocols(context, parse_protocols(policy.protocols))
        grade = policy.ciphers.lower()
        if grade not in _GRADES:
            raise ValueError(f"invalid TLS cipher grade: {policy.ciphers}")
        context.set_ciphers(cipher_list(self._settings.text(f"tls_{grade}_cipherlist"), policy.exclude))
        for certificate, key in self._own_certificates():
            with self._files.openable(certificate) as own_certificate, self._files.openable(key) as own_key:
                context.load_cert_chain(own_certificate, own_key)
        return context

    def _own_certificates(self) -> list[tuple[str, str]]:
        prefix, text = f"{self._prefix}_tls", self._settings.text
        files = [(path, path) for path in self._settings.items(f"{prefix}_chain_files")]
        if not files:
            names = (("cert_file", "key_file"), ("dcert_file", "dkey_file"), ("eccert_file", "eckey_file"))
            files = [(text(f"{prefix}_{c}"), text(f"{prefix}_{k}")) for c, k in names if text(f"{prefix}_{c}")]
        return files


def weaker(policy: TlsPolicy) -> TlsPolicy:
    """The same without TLS: the second try where TLS is only welcome."""
    return replace(policy, level=Level.NONE)


def _trust_word(policy: TlsPolicy, judgement: Judgement, *, has_certificate: bool) -> str:
    if not has_certificate:
        return "Anonymous"
    if policy.level >= Level.FINGERPRINT and judgement.is_matched:
        return "Verified"
    return "Trusted" if judgement.is_trusted else "Untrusted"


def _domain_of(next_hop: str) -> str:
    """The name in a next-hop destination: without brackets and port."""
    host = next_hop.strip()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
