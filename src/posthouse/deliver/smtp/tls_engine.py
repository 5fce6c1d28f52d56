"""What TLS as a client is made of: own certificates, known authorities, and contexts for versions and ciphers."""

from __future__ import annotations

import ssl

from posthouse.config.settings import Settings
from posthouse.deliver.smtp.tls_policy import TlsDemand
from posthouse.errors import PosthouseError
from posthouse.maillog import smtp as lines
from posthouse.system.key_files import KeyFile, KeyFiles
from posthouse.system.log import DaemonLog
from posthouse.system.tls import TrustStore, cipher_list, limit_protocols, parse_protocols
from posthouse.system.tls_pairs import Pair, load_pairs, parse_pairs
from posthouse.system.tls_resumption import ResumingContext

_GRADES = ("high", "medium", "low", "export", "null")
_MOST_CONTEXTS = 500
Server = tuple[str, int, str]  # address, port, the name it is asked for


class BadDemand(PosthouseError):
    """A policy asks for versions or ciphers that there are not; str() is for the log."""


class _NoUse(ValueError):
    """Files that no TLS can be made of; str() is why. consequence is told besides, as a warning or not."""

    def __init__(self, reason: str, consequence: str, *, warns: bool) -> None:
        super().__init__(reason)
        self.consequence, self.warns = consequence, warns


class TlsEngine:
    """Of one smtp or lmtp service. Certificates that were renewed are shown at once."""

    def __init__(self, settings: Settings, prefix: str, log: DaemonLog, files: KeyFiles) -> None:
        self._settings, self._prefix, self._log, self._files = settings, prefix, log, files
        self._sources = _own_sources(settings, prefix)
        self._own: tuple[KeyFile, ...] | None = None
        self._pairs: list[Pair] = []
        self._stores: dict[tuple[str, ...], TrustStore] = {}
        self._contexts: dict[tuple[object, ...], ResumingContext] = {}
        self._told = ""
        is_wanted = settings.text(f"{prefix}_tls_session_cache_database")
        self._session_life = settings.seconds(f"{prefix}_tls_session_cache_timeout") if is_wanted else 0

    async def is_ready(self) -> bool:
        """Whether there can be TLS at all. Where own keys or known authorities are no good, the log says so, once."""
        try:
            await self._renew_own()
            self.store(())
        except OSError as error:
            return self._fails(f"error opening chain file: {error.filename}: {error.strerror}")
        except _NoUse as error:
            return self._fails(str(error), error)
        self._told = ""
        return True

    def _fails(self, reason: str, error: _NoUse | None = None) -> bool:
        if reason != self._told:
            self._told = reason
            self._log.warning(reason)
            if error is not None:
                (self._log.warning if error.warns else self._log.info)(error.consequence)
        return False

    async def _renew_own(self) -> None:
        """Raises OSError, _NoUse."""
        paths = [path for source in self._sources for path in source]
        files = tuple([await self._files.current(path) for path in paths])
        if files == self._own:
            return
        pairs: list[Pair] = []
        position = 0
        for source in self._sources:
            data = b"\n".join(file.data for file in files[position : position + len(source)])
            position += len(source)
            try:
                pairs += parse_pairs(data)
            except ValueError as error:
                raise _NoUse(str(error), lines.no_keys(",".join(source)), warns=True) from error
        self._own, self._pairs = files, pairs
        self._contexts.clear()

    def store(self, anchors: tuple[str, ...]) -> TrustStore:
        """Who is trusted: the files of a policy, or those of main.cf where it names none. Raises ValueError."""
        store = self._stores.get(anchors)
        if store is None:
            store = self._stores[anchors] = TrustStore(anchors, is_partial=True) if anchors else self._usual_store()
        return store

    def _usual_store(self) -> TrustStore:
        text = self._settings.text
        file, folder = text(f"{self._prefix}_tls_CAfile"), text(f"{self._prefix}_tls_CApath")
        try:
            return TrustStore((file,), folder, system_too=self._settings.flag("tls_append_default_CA"))
        except ValueError as error:
            consequence = lines.no_authorities(file, folder)
            raise _NoUse(lines.library_problem(str(error)), consequence, warns=False) from error

    def context(self, demand: TlsDemand, server: Server) -> ResumingContext:
        """For a connection to that server. Raises BadDemand, ValueError."""
        key = (demand.protocols, demand.ciphers, demand.exclude, server if self._session_life else None)
        context = self._contexts.pop(key, None)
        if context is None:
            if len(self._contexts) >= _MOST_CONTEXTS:
                del self._contexts[next(iter(self._contexts))]  # the one that nobody has used for longest
            context = self._make_context(demand)
        self._contexts[key] = context
        return context

    def _make_context(self, demand: TlsDemand) -> ResumingContext:
        context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
        context.life = self._session_life
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            limit_protocols(context, parse_protocols(demand.protocols))
        except ValueError as error:
            raise BadDemand(f'Invalid TLS protocol list "{demand.protocols}": aborting TLS session') from error
        grade = demand.ciphers.lower()
        if grade not in _GRADES:
            raise BadDemand(f'invalid cipher grade: "{demand.ciphers}"')
        context.set_ciphers(cipher_list(self._settings.text(f"tls_{grade}_cipherlist"), demand.exclude))
        load_pairs(context, self._pairs)
        return context


def _own_sources(settings: Settings, prefix: str) -> list[tuple[str, ...]]:
    """Files that belong together: all of smtp_tls_chain_files, or a certificate with its key for each kind."""
    chain = settings.items(f"{prefix}_tls_chain_files")
    if chain:
        return [chain]
    found: list[tuple[str, ...]] = []
    for kind in ("", "ec", "d"):
        certificate = settings.text(f"{prefix}_tls_{kind}cert_file")
        if certificate and certificate != "none":
            key = settings.text(f"{prefix}_tls_{kind}key_file")
            found.append((certificate,) if key == certificate else (key, certificate))
    return found
