"""TLS with the clients of one smtpd service: STARTTLS and wrapper mode (postconf(5), smtpd_tls_*; TLS_README)."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from OpenSSL import SSL

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.maps import open_maps
from posthouse.maillog import smtpd as lines
from posthouse.protocols.smtp_server import Reply, refuse
from posthouse.receive.smtpd.tls_level import STRONGER, Level
from posthouse.receive.smtpd.tls_rules import TlsRules, read_tls_rules
from posthouse.receive.smtpd.tls_session import TlsSession
from posthouse.services.house import House
from posthouse.system.key_files import KeyFile
from posthouse.system.log import DaemonLog
from posthouse.system.tls import TrustStore, Verdict, verify_problem
from posthouse.system.tls_pairs import Pair, parse_pairs
from posthouse.system.tls_server import HandshakeFailed, TlsTransport, choose_by_name, make_context

if TYPE_CHECKING:
    import asyncio

    from posthouse.policy.request import Request
    from posthouse.receive.smtpd.session import Session

TICKET_KEYS_LIFE_S = 86_400.0  # then a context, with its keys for tickets, is made anew
MOST_NAMED_CONTEXTS = 1000


@dataclass(slots=True)
class _Ready:
    """A context that serves, and from what it was made."""

    context: SSL.Context
    files: tuple[KeyFile, ...]
    made: float


class TlsServer:
    """rules say what is wanted. Contexts are made from the key files as they are when a client comes."""

    def __init__(self, settings: Settings, house: House, log: DaemonLog, rules: TlsRules) -> None:
        self.rules, self._log, self._files = rules, log, house.key_files
        self._settings = settings
        self._names = open_maps(settings, "tls_server_sni_maps")
        self._ready: _Ready | None = None
        self._refused: tuple[KeyFile, ...] | None = None
        self._named: dict[str, SSL.Context | None] = {}
        self._store: TrustStore | None = None
        self._told = ""

    # -- contexts

    async def context(self, now: float) -> SSL.Context | None:
        """What the next client is served with. None where there is nothing fit; the log says why.

        Certificates that were renewed serve at once; while new files do not fit together, the former ones do.
        """
        try:
            files = tuple([await self._files.current(path) for path in self.rules.paths])
        except OSError as error:
            text = lines.key_file_not_opened(error.filename or "(unknown)", error.strerror or str(error))
            return self._keep(text, "")
        ready = self._ready
        if ready is not None and ready.files == files and now - ready.made < TICKET_KEYS_LIFE_S:
            return ready.context
        if ready is not None and files == self._refused:
            return ready.context
        try:
            context = self._make(files)
        except ValueError as error:
            self._refused = files
            return self._keep(str(error))
        self._ready, self._refused, self._told = _Ready(context, files, now), None, ""
        self._named.clear()
        return context

    def _keep(self, trouble: str, otherwise: str = "disabling TLS support") -> SSL.Context | None:
        """Go on with what there is, or not at all (otherwise), and say once what is wrong."""
        consequence = otherwise if self._ready is None else "the former certificate goes on serving"
        text = f"{trouble}: {consequence}" if consequence else trouble
        if text != self._told:
            self._told = text
            self._log.warning(text if self.rules.has_keys else "No server certs available. TLS won't be enabled")
        return None if self._ready is None else self._ready.context

    def _make(self, files: tuple[KeyFile, ...]) -> SSL.Context:
        if not self.rules.has_keys:
            raise ValueError("no certificate configured")
        pairs: list[Pair] = []
        position = 0
        for source in self.rules.sources:
            data = b"\n".join(file.data for file in files[position : position + len(source)])
            position += len(source)
            try:
                pairs += parse_pairs(data)
            except ValueError as error:
                raise ValueError(f"{' and '.join(dict.fromkeys(source))}: {error}") from error
        if self.rules.log_level >= 2:
            self._log.info("initializing the server-side TLS engine")
        for pair in pairs:
            self._check_dates(pair)
        context = make_context(self.rules.context_rules(), pairs)
        self._open_store()
        if not self._names.empty:
            choose_by_name(context, self._named_context)
        return context

    def _check_dates(self, pair: Pair) -> None:
        end = pair.certificate.not_valid_after_utc
        if end < dt.datetime.now(dt.UTC):
            name = pair.certificate.subject.rfc4514_string()
            self._log.warning(f"the certificate {name} has expired on {end:%Y-%m-%d}; clients may refuse it")

    def _open_store(self) -> None:
        rules = self.rules
        if rules.asks_certificate and self._store is None:
            self._store = TrustStore((rules.ca_file,), rules.ca_path, system_too=rules.trusts_system)

    def _named_context(self, name: str) -> SSL.Context | None:
        """By tls_server_sni_maps: the name itself, then ".parent" and so on. None: the default serves."""
        try:
            found = self._names.lookup(name)
            parent = name
            while found is None and "." in parent:
                parent = parent.partition(".")[2]
                found = self._names.lookup(f".{parent}") if parent else None
            return None if found is None else self._context_of(found)
        except (LookupFailed, OSError, ValueError) as error:
            self._log.warning(f"tls_server_sni_maps: {name}: {error}")
            return None

    def _context_of(self, value: str) -> SSL.Context:
        """Value is what postmap -F makes of file names (base64), or the names themselves."""
        paths = value.replace(",", " ").split() if value.startswith("/") else []
        files = [self._files.at_hand(path) for path in paths]
        key = value if not paths else " ".join(f"{path}{file.mark}" for path, file in zip(paths, files, strict=True))
        context = self._named.get(key)
        if context is None:
            if len(self._named) >= MOST_NAMED_CONTEXTS:
                self._named.clear()
            data = b"\n".join(file.data for file in files) if paths else _decoded(value)
            context = self._named[key] = make_context(self.rules.context_rules(), parse_pairs(data))
        return context

    # -- sessions

    async def secure(self, session: Session, context: SSL.Context, received: bytes) -> bool:
        """The handshake. False where it failed; the connection is then closed, and the log says why."""
        if session.transport is None:
            return False
        if self.rules.log_level >= 2:
            session.log.info(f"setting up TLS connection from {session.client}")
            session.log.info(f'{session.client}: TLS cipher list "{self.rules.ciphers}"')
        layer = TlsTransport(context, session.transport, session)
        if self.rules.log_level >= 2:
            layer.tell_steps(session.log.info)
        try:
            found = await layer.handshake(self.rules.handshake_limit, received)
        except HandshakeFailed as failed:
            session.log.info(lines.tls_failed(session.client, "-1" if failed.is_protocol else str(failed)))
            if failed.is_protocol:
                session.log.warning(f"TLS library problem: {failed}")
            return False
        # To a session it is all that a transport is.
        session.transport = cast("asyncio.Transport", layer)
        chain = found.certificate.chain
        verdict = Verdict() if not chain or self._store is None else self._store.verify(chain, "client")
        tls = session.tls = TlsSession(
            found,
            is_trusted=bool(chain) and not verdict.number and self._store is not None,
            is_asked=self.rules.asks_certificate,
            digest=self.rules.digest,
        )
        self._log_session(session, tls)
        if verdict.number and self.rules.demands_certificate:
            session.log.info(verify_problem(session.client, "client", verdict))
        tls.tell(session.request)
        return True

    def _log_session(self, session: Session, tls: TlsSession) -> None:
        if self.rules.log_level >= 2 and tls.found.certificate.chain:
            session.log.info(f"{session.client}: {tls.certificate_line()}")
        if self.rules.log_level >= 1:
            found = tls.found
            if found.server_name and not found.is_named and not self._names.empty:
                session.log.info(lines.tls_name_not_matched(found.server_name, session.client))
            name = found.server_name if found.is_named else ""
            session.log.info(lines.tls_established(tls.trust_word, session.client, tls.described, name))

    def refusal(self, session: Session) -> Reply | None:
        """After a handshake: why this client may not go on."""
        tls = session.tls
        if tls is None or not self.rules.demands_certificate or tls.is_trusted:
            return None
        has_one = bool(tls.found.certificate.chain)
        reason = "Client certificate not trusted" if has_one else "No client certificate presented"
        session.log.info(lines.tls_refused(session.client, reason))
        session.blamed = "policy"
        return refuse(421, "4.7.1", f"{session.service.rules.myhostname} Error: {reason}", closes=True)


def open_tls_server(settings: Settings, house: House, log: DaemonLog) -> TlsServer | None:
    """For a service that has anything to do with TLS. Nothing raises here: mail comes in without TLS, too."""
    rules = read_tls_rules(settings)
    named = settings.text("smtpd_tls_security_level").strip()
    if named in STRONGER:
        log.warning(lines.stronger_tls_level(named))
    if rules.level is Level.MAY and settings.flag("smtpd_tls_req_ccert"):
        log.warning("Can't require client certs unless TLS is required")
    return None if rules.level is Level.NONE else TlsServer(settings, house, log, rules)


def forget_client(request: Request) -> None:
    """What the client said before TLS counts no more (RFC 3207, 4.2); that it speaks ESMTP does, as in Postfix."""
    request.helo_name = None
    request.sasl_method = request.sasl_username = request.sasl_sender = ""
    request.memory.clear()


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("neither base64 (postmap -F) nor a file name") from error
