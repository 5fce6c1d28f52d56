"""TLS as a server: contexts from keys in memory, and a TLS layer between a transport and a protocol (TLS_README).

The ssl module cannot ask clients for certificates and let those pass that it does not trust; OpenSSL itself can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from cryptography.hazmat.primitives import hashes, serialization
from OpenSSL import SSL, crypto

from posthouse.system.tls import PeerCertificate, Protocols, certificate_of
from posthouse.system.tls_pairs import Pair

_READ = 262_144
_SESSION_ID = b"smtpd"
_FATAL = 2
_ALERTS = {
    10: "unexpected message", 20: "bad record mac", 22: "record overflow", 40: "handshake failure",
    42: "bad certificate", 43: "unsupported certificate", 44: "certificate revoked", 45: "certificate expired",
    46: "certificate unknown", 47: "illegal parameter", 48: "unknown CA", 49: "access denied", 50: "decode error",
    51: "decrypt error", 70: "protocol version", 71: "insufficient security", 80: "internal error",
    86: "inappropriate fallback", 90: "user canceled", 109: "missing extension", 110: "unsupported extension",
    112: "unrecognized name", 116: "certificate required", 120: "no application protocol",
}  # fmt: skip
"""RFC 8446, 6, in OpenSSL's words."""


@dataclass(frozen=True, slots=True)
class ContextRules:
    """What a context may do. ticket_life is in seconds, 0 for no tickets; asks_certificate: of clients, with the names
    of the authorities in authorities (a file, "" none).
    """

    protocols: Protocols
    ciphers: str
    curves: str = ""
    ticket_life: int = 0
    asks_certificate: bool = False
    authorities: str = ""
    own_order: bool = False
    dh_file: str = ""


def told(error: BaseException) -> str:
    """OpenSSL's reasons in one line, as its own tools print them."""
    if isinstance(error, (SSL.Error, crypto.Error)) and error.args and isinstance(error.args[0], list):
        return "; ".join(":".join(str(part) for part in entry) for entry in error.args[0])
    return str(error)


def make_context(rules: ContextRules, pairs: list[Pair]) -> SSL.Context:
    """Raises ValueError with what OpenSSL does not like."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.set_min_proto_version(max(0, rules.protocols.lowest))
        context.set_max_proto_version(max(0, rules.protocols.highest))
        context.set_options(int(rules.protocols.off) | SSL.OP_NO_COMPRESSION | getattr(SSL, "OP_NO_RENEGOTIATION", 0))
        if rules.own_order:
            context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_cipher_list(rules.ciphers.encode())
        _resumption(context, rules)
        _client_certificates(context, rules)
        if rules.dh_file:
            _dh_parameters(context, rules.dh_file)
        if rules.curves:
            _curves(context, rules.curves)
        for pair in pairs:
            context.use_certificate(pair.certificate)
            context.use_privatekey(pair.key)
            context.check_privatekey()
            for above in pair.chain:
                context.add_extra_chain_cert(above)
    except (SSL.Error, crypto.Error) as error:
        raise ValueError(told(error)) from error
    return context


def _resumption(context: SSL.Context, rules: ContextRules) -> None:
    context.set_session_id(_SESSION_ID)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if rules.ticket_life and not rules.asks_certificate:
        context.set_timeout(rules.ticket_life)
    else:  # a resumed session would not show its certificate's chain again
        context.set_options(SSL.OP_NO_TICKET)


def _client_certificates(context: SSL.Context, rules: ContextRules) -> None:
    if not rules.asks_certificate:
        context.set_verify(SSL.VERIFY_NONE)
        return
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)  # what it is worth is judged afterwards
    if rules.authorities:
        try:
            context.load_client_ca(rules.authorities.encode())
        except SSL.Error as error:
            raise ValueError(f"cannot load authorities of clients from {rules.authorities}: {told(error)}") from error


def _dh_parameters(context: SSL.Context, file: str) -> None:
    try:
        context.load_tmp_dh(file)
    except SSL.Error as error:
        raise ValueError(f"cannot load DH parameters from {file}: {told(error)}") from error


def _curves(context: SSL.Context, names: str) -> None:
    own: Any = context
    if _library().SSL_CTX_set1_curves_list(own._context, names.encode()) != 1:  # noqa: SLF001
        raise ValueError(f"unknown curve in {names}")


@dataclass(frozen=True, slots=True)
class Session:
    """What a handshake led to. channels() finds its bindings, by name (RFC 5929, RFC 9266); is_named: the certificate
    is that of server_name, which the client asked for.
    """

    version: str
    cipher: str
    bits: int
    group: str = ""
    server_name: str = ""
    is_named: bool = False
    is_resumed: bool = False
    channels: Callable[[], Mapping[str, bytes]] = dict
    certificate: PeerCertificate = field(default_factory=PeerCertificate)


class HandshakeFailed(Exception):
    """The handshake came to nothing; is_protocol: str() is OpenSSL's reason, else what became of the connection."""

    def __init__(self, text: str, *, is_protocol: bool) -> None:
        super().__init__(text)
        self.is_protocol = is_protocol


class TlsTransport(asyncio.Protocol):
    """Stands between a transport and the protocol that it had: bytes below, plain text above.

    To the protocol it is a transport; handshake() has to succeed before anything is written.
    """

    def __init__(self, context: SSL.Context, below: asyncio.Transport, above: asyncio.Protocol) -> None:
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()
        self._context, self._below, self._above = context, below, above
        self._is_up = self._is_over = False
        self._tell: Callable[[str], None] | None = None
        self._shaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell_steps(self, tell: Callable[[str], None]) -> None:
        """Let somebody hear of each step of the handshake, in OpenSSL's words."""

        def step(connection: SSL.Connection, where: int, code: int) -> None:
            if where & SSL.SSL_CB_LOOP:
                tell(f"SSL_accept:{connection.get_state_string().decode('ascii', 'replace')}")
            elif where & SSL.SSL_CB_ALERT and code & 0xFF:
                way = "read" if where & SSL.SSL_CB_READ else "write"
                grade = "fatal" if code >> 8 == _FATAL else "warning"
                tell(f"SSL3 alert {way}:{grade}:{_ALERTS.get(code & 0xFF, f'number {code & 0xFF}')}")

        self._tls.set_info_callback(step)
        self._tell = tell

    async def handshake(self, limit: float, received: bytes = b"") -> Session:
        """Do it within limit seconds; received are bytes that came before. Raises HandshakeFailed; the transport is
        then closed.
        """
        self._below.set_protocol(self)
        if received:
            self.data_received(received)
        try:
            async with asyncio.timeout(limit):
                await self._shaken
        except TimeoutError as error:
            self._below.abort()
            raise HandshakeFailed("Connection timed out", is_protocol=False) from error
        return self._session()

    def _session(self) -> Session:
        tls, library, raw = self._tls, _library(), cast("Any", self._tls)._ssl  # noqa: SLF001
        is_resumed, has_secret = bool(library.SSL_session_reused(raw)), bool(library.SSL_get_extms_support(raw))
        ders: list[bytes] = []
        own = tls.get_peer_certificate(as_cryptography=True)
        if own is not None:
            chain = [own, *(tls.get_peer_cert_chain(as_cryptography=True) or [])]
            ders = list(dict.fromkeys(found.public_bytes(serialization.Encoding.DER) for found in chain))
        try:
            group = tls.get_group_name() or ""
        except (NotImplementedError, AttributeError):
            group = ""
        return Session(
            version=tls.get_protocol_version_name(),
            cipher=tls.get_cipher_name() or "",
            bits=tls.get_cipher_bits() or 0,
            group=group,
            server_name=(tls.get_servername() or b"").decode("ascii", "replace"),
            is_named=tls.get_context() is not self._context,
            is_resumed=is_resumed,
            channels=cache(lambda: _channel_bindings(tls, has_master_secret=has_secret, is_resumed=is_resumed)),
            certificate=certificate_of(ders),
        )

    # -- what comes from below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport was there before."""

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._tls.bio_write(data)
        if self._is_up or self._shake():
            self._deliver()

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return False
        except SSL.Error as error:
            self._flush()  # the alert
            if self._tell is not None:
                self._tell(f"SSL_accept:error in {self._tls.get_state_string().decode('ascii', 'replace')}")
            self._fail(HandshakeFailed(told(error) or "handshake failure", is_protocol=True))
            return False
        self._is_up = True
        self._flush()
        if not self._shaken.done():
            self._shaken.set_result(None)
        return True

    def _fail(self, error: HandshakeFailed) -> None:
        self._is_over = True
        if not self._shaken.done():
            self._shaken.set_exception(error)
        self._below.close()

    def _deliver(self) -> None:
        parts: list[bytes] = []
        is_end = False
        while True:
            try:
                parts.append(self._tls.recv(_READ))
            except SSL.WantReadError:
                break
            except (SSL.ZeroReturnError, SSL.SysCallError):
                is_end = True
                break
            except SSL.Error:
                self._is_over = True
                self._flush()
                self._below.close()
                return
        self._flush()
        if parts:
            self._above.data_received(b"".join(parts) if len(parts) > 1 else parts[0])
        if is_end and not self._above.eof_received():
            self.close()

    def eof_received(self) -> bool:
        if not self._is_up:
            self._fail(HandshakeFailed("lost connection", is_protocol=False))
            return False
        return bool(self._above.eof_received())

    def connection_lost(self, error: Exception | None) -> None:
        self._is_over = True
        if not self._shaken.done():
            text = getattr(error, "strerror", "") or "lost connection"
            self._shaken.set_exception(HandshakeFailed(text, is_protocol=False))
        self._above.connection_lost(error)

    def pause_writing(self) -> None:
        self._above.pause_writing()

    def resume_writing(self) -> None:
        self._above.resume_writing()

    def _flush(self) -> None:
        """What OpenSSL has for the peer goes out."""
        if self._below.is_closing():
            return
        while True:
            try:
                self._below.write(self._tls.bio_read(_READ))
            except SSL.WantReadError:
                return

    # -- what the protocol above asks for, as of any transport

    def write(self, data: bytes) -> None:
        if self._is_over or not data:
            return
        self._tls.sendall(data)
        self._flush()

    def close(self) -> None:
        """Say so within TLS, too, without waiting for the peer's agreement (tls_fast_shutdown_enable)."""
        if not self._is_over:
            self._is_over = True
            try:
                self._tls.shutdown()
            except SSL.Error:
                pass
            self._flush()
        self._below.close()

    def abort(self) -> None:
        self._is_over = True
        self._below.abort()

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._below.get_extra_info(name, default)


def _library() -> Any:
    return SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001  (no public way yet)


def _channel_bindings(tls: SSL.Connection, *, has_master_secret: bool, is_resumed: bool) -> dict[str, bytes]:
    """What both ends know of this connection. tls-exporter is safe in TLS 1.3; before that it and tls-unique are where
    the master secret is bound to the handshake (RFC 7627; RFC 9266, 4.2).
    """
    found: dict[str, bytes] = {}
    is_new = tls.get_protocol_version_name() == "TLSv1.3"
    if has_master_secret and not is_new:  # the first message "Finished": the client's, or in a short handshake ours
        found["tls-unique"] = (tls.get_finished() if is_resumed else tls.get_peer_finished()) or b""
    if has_master_secret or is_new:
        try:
            found["tls-exporter"] = tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        except SSL.Error:
            pass
    own = tls.get_certificate(as_cryptography=True)
    algorithm = None if own is None else own.signature_hash_algorithm
    if own is not None and algorithm is not None:
        weak = algorithm.name in ("md5", "sha1")
        found["tls-server-end-point"] = own.fingerprint(hashes.SHA256() if weak else algorithm)
    return found


ChooseContext = Callable[[str], SSL.Context | None]


def choose_by_name(context: SSL.Context, choose: ChooseContext) -> None:
    """Let a connection go on with another context by the name that the client asked for (RFC 6066, 3)."""

    def asked(connection: SSL.Connection) -> None:
        name = connection.get_servername()
        found = choose(name.decode("ascii", "replace").lower()) if name else None
        if found is not None:
            connection.set_context(found)

    context.set_tlsext_servername_callback(asked)
