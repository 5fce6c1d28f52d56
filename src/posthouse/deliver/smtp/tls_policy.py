"""How much TLS a destination gets: smtp_tls_security_level and smtp_tls_policy_maps (TLS_README)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from posthouse.config.settings import Settings
from posthouse.deliver.smtp.tls_per_site import SiteTable
from posthouse.deliver.smtp.tls_policy_row import LEVELS, BadPolicy, Level, TlsPolicy, parse_row
from posthouse.errors import ConfigError, LookupFailed
from posthouse.lookup.maps import open_maps
from posthouse.maillog import smtp as lines
from posthouse.system.log import DaemonLog
from posthouse.system.tls import normal_fingerprint

_DANE = (Level.DANE, Level.DANE_ONLY)


@dataclass(frozen=True, slots=True)
class TlsDemand:
    """A policy with everything that it leaves to main.cf filled in, for one next-hop destination."""

    level: Level
    next_hop: str
    match: tuple[str, ...] = ()
    protocols: str = ""
    ciphers: str = ""
    exclude: tuple[str, ...] = ()
    server_name: str = ""
    anchors: tuple[str, ...] = ()
    reuses: bool = False

    @property
    def domain(self) -> str:
        """The name in the destination: without brackets and port."""
        if self.next_hop.startswith("["):
            return self.next_hop[1:].partition("]")[0]
        return self.next_hop.partition(":")[0]

    @property
    def is_mandatory(self) -> bool:
        return self.level >= Level.ENCRYPT

    @property
    def is_checked(self) -> bool:
        """Whether it matters who the server is."""
        return self.level >= Level.FINGERPRINT


class TlsPolicies:
    """The policies of one smtp or lmtp service. Raises ConfigError for a level that there is not."""

    def __init__(self, settings: Settings, prefix: str, log: DaemonLog) -> None:
        self._settings, self._prefix, self._log = settings, prefix, log
        self._maps = open_maps(settings, f"{prefix}_tls_policy_maps")
        self._sites = SiteTable(settings, prefix, log)
        if not (self._sites.empty or self._maps.empty):
            log.warning(f"{prefix}_tls_per_site ignored when {prefix}_tls_policy_maps is not empty.")
        self._default = TlsPolicy(self._default_level())

    @property
    def never(self) -> bool:
        """No destination gets TLS; nothing has to be looked up."""
        return self._maps.empty and self._sites.empty and self._default.level is Level.NONE

    async def demand(self, next_hop: str, host: str = "") -> TlsDemand:
        """What is asked of a next-hop destination as transport(5) writes it, and of one of its hosts. Raises BadPolicy;
        the reason is logged.
        """
        policy = self._default
        if not self._maps.empty:
            policy = await self._looked_up(next_hop)
        elif not self._sites.empty:
            policy = replace(policy, level=await self._sites.level(next_hop, host, policy.level))
        if policy.level in _DANE:
            policy = self._without_dane(policy, next_hop)
        return self._complete(policy, next_hop)

    async def _looked_up(self, next_hop: str) -> TlsPolicy:
        for key in _keys(next_hop.lower()):
            where = lines.policy_place(f"{self._prefix}_tls_policy_maps", key)
            try:
                value = await self._maps.find(key)
            except LookupFailed as failed:
                self._log.warning(lines.table_failed(failed.table, key))
                self._log.warning(f"{where}: policy table lookup error")
                raise BadPolicy(str(failed)) from failed
            if value is None:
                continue
            try:
                policy, notes = parse_row(value)
            except BadPolicy as bad:
                self._log.warning(f"{where}: {bad}")
                raise
            for note in notes:
                self._log.warning(f"{where}: {note}")
            return policy
        return self._default

    def _default_level(self) -> Level:
        word = self._settings.text(f"{self._prefix}_tls_security_level")
        if word:
            return self._named_level(word)
        if self._settings.flag(f"{self._prefix}_enforce_tls"):
            peername = self._settings.flag(f"{self._prefix}_tls_enforce_peername")
            return Level.VERIFY if peername else Level.ENCRYPT
        return Level.MAY if self._settings.flag(f"{self._prefix}_use_tls") else Level.NONE

    def _named_level(self, word: str) -> Level:
        level = LEVELS.get(word.lower())
        if level is None:
            raise ConfigError(f"invalid TLS security level: {word}", parameter=f"{self._prefix}_tls_security_level")
        return level

    def _has_dnssec(self) -> bool:
        return self._settings.text(f"{self._prefix}_dns_support_level").lower() == "dnssec"

    def _without_dane(self, policy: TlsPolicy, next_hop: str) -> TlsPolicy:
        """Without DNSSEC there are no TLSA records to go by. Raises BadPolicy where they are indispensable."""
        word = policy.level.word
        if self._has_dnssec():
            self._log.warning(lines.dane_not_built(word))
            raise BadPolicy(f"{word} is not built yet")
        self._log.warning(lines.dane_without_dnssec(next_hop, word))
        if policy.level is Level.DANE_ONLY:
            raise BadPolicy(f"{word} without DNSSEC")
        return replace(policy, level=Level.MAY)

    def _complete(self, policy: TlsPolicy, next_hop: str) -> TlsDemand:
        """Fill in what the policy leaves to main.cf. Raises BadPolicy."""
        settings, prefix = self._settings, f"{self._prefix}_tls"
        kind = "mandatory_" if policy.is_mandatory else ""
        return TlsDemand(
            policy.level,
            next_hop,
            self._match(policy, next_hop),
            settings.text(f"{prefix}_{kind}protocols") if policy.protocols is None else policy.protocols,
            settings.text(f"{prefix}_{kind}ciphers") if policy.ciphers is None else policy.ciphers,
            self._excluded(policy) if policy.exclude is None else policy.exclude,
            settings.text(f"{prefix}_servername") if policy.server_name is None else policy.server_name,
            self._anchors(policy),
            settings.flag(f"{prefix}_connection_reuse") if policy.reuses is None else policy.reuses,
        )

    def _match(self, policy: TlsPolicy, next_hop: str) -> tuple[str, ...]:
        prefix = f"{self._prefix}_tls"
        match policy.level:
            case Level.FINGERPRINT:
                return self._fingerprints(
                    policy.match or self._settings.items(f"{prefix}_fingerprint_cert_match"), next_hop
                )
            case Level.VERIFY:
                return policy.match or _colon_list(self._settings.text(f"{prefix}_verify_cert_match"))
            case Level.SECURE:
                return policy.match or _colon_list(self._settings.text(f"{prefix}_secure_cert_match"))
        return ()

    def _fingerprints(self, words: tuple[str, ...], next_hop: str) -> tuple[str, ...]:
        found = [normal_fingerprint(word) for word in words]
        for word, fingerprint in zip(words, found, strict=True):
            if not fingerprint:
                self._log.warning(f"malformed fingerprint value: {word}")
        if not any(found):
            self._log.warning(lines.no_fingerprints(next_hop))
            raise BadPolicy("no fingerprints to match")
        return tuple(filter(None, found))

    def _anchors(self, policy: TlsPolicy) -> tuple[str, ...]:
        for path in policy.anchors:
            try:
                os.stat(path)
            except OSError as error:
                self._log.warning(f"error opening trust anchor file: {path}: {error.strerror}")
                raise BadPolicy("no trust anchors") from error
        return policy.anchors

    def _excluded(self, policy: TlsPolicy) -> tuple[str, ...]:
        words = self._settings.items(f"{self._prefix}_tls_exclude_ciphers")
        if policy.is_mandatory:
            words += self._settings.items(f"{self._prefix}_tls_mandatory_exclude_ciphers")
        return words


def _colon_list(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(":", " ").replace(",", " ").split() if word)


def _keys(next_hop: str) -> Iterator[str]:
    """The destination as it is; a domain without port or brackets also by its parents, as ".parent"."""
    yield next_hop
    if next_hop.startswith("[") or ":" in next_hop:
        return
    domain = next_hop
    while "." in domain:
        domain = domain.partition(".")[2]
        yield f".{domain}"
