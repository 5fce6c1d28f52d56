"""How much TLS a destination gets: smtp_tls_security_level and smtp_tls_policy_maps (TLS_README)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.lookup.maps import open_maps
from posthouse.system.tls import parse_protocols


class Level(IntEnum):
    """Postfix's security levels, weakest first."""

    NONE = 0
    MAY = 1
    ENCRYPT = 2
    DANE = 3
    DANE_ONLY = 4
    FINGERPRINT = 5
    VERIFY = 6
    SECURE = 7


_WORDS = {level.name.lower().replace("_", "-"): level for level in Level}
_NOT_BUILT = (Level.DANE, Level.DANE_ONLY)


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What is asked of a server. match holds names or fingerprints; ca_file replaces smtp_tls_CAfile ("" it stays)."""

    level: Level
    match: tuple[str, ...] = ()
    protocols: str = ""
    ciphers: str = ""
    exclude: tuple[str, ...] = ()
    server_name: str = ""
    ca_file: str = ""

    @property
    def is_mandatory(self) -> bool:
        return self.level >= Level.ENCRYPT


class TlsPolicies:
    """The policies of one smtp or lmtp service."""

    def __init__(self, settings: Settings, prefix: str) -> None:
        self._settings, self._prefix = settings, prefix
        self._maps = open_maps(settings, f"{prefix}_tls_policy_maps")
        self._default = self._complete(TlsPolicy(self._default_level()))

    @property
    def never(self) -> bool:
        """No destination gets TLS; nothing has to be looked up."""
        return self._maps.empty and self._default.level is Level.NONE

    async def policy(self, next_hop: str) -> TlsPolicy:
        """The policy for a next-hop destination as transport(5) writes it. Raises LookupFailed, ConfigError."""
        if self._maps.empty:
            return self._default
        for key in _keys(next_hop):
            value = await self._maps.find(key)
            if value is not None:
                return self._complete(self._parse(value))
        return self._default

    def _default_level(self) -> Level:
        word = self._settings.text(f"{self._prefix}_tls_security_level")
        if word:
            return self._level(word)
        if self._settings.flag(f"{self._prefix}_enforce_tls"):
            peername = self._settings.flag(f"{self._prefix}_tls_enforce_peername")
            return Level.VERIFY if peername else Level.ENCRYPT
        return Level.MAY if self._settings.flag(f"{self._prefix}_use_tls") else Level.NONE

    def _level(self, word: str) -> Level:
        level = _WORDS.get(word.lower())
        if level is None:
            raise ConfigError(f"invalid TLS security level: {word}", parameter=f"{self._prefix}_tls_security_level")
        if level in _NOT_BUILT:
            raise ConfigError(f"TLS security level {word} is not built yet; use secure, verify or fingerprint")
        return level

    def _parse(self, value: str) -> TlsPolicy:
        words = value.split()
        if not words:
            raise ConfigError("empty TLS policy", parameter=f"{self._prefix}_tls_policy_maps")
        policy = TlsPolicy(self._level(words[0].rstrip(",")))
        for word in words[1:]:
            name, equals, text = word.partition("=")
            if not equals:
                raise ConfigError(f"malformed TLS policy attribute: {word}")
            policy = _with_attribute(policy, name.lower(), text)
        return policy

    def _complete(self, policy: TlsPolicy) -> TlsPolicy:
        """Fill in what the policy leaves to main.cf."""
        prefix, settings = self._prefix, self._settings
        kind = "mandatory_" if policy.is_mandatory else ""
        match policy.level:
            case Level.FINGERPRINT:
                own = settings.items(f"{prefix}_tls_fingerprint_cert_match")
            case Level.VERIFY:
                own = _colon_list(settings.text(f"{prefix}_tls_verify_cert_match"))
            case Level.SECURE:
                own = _colon_list(settings.text(f"{prefix}_tls_secure_cert_match"))
            case _:
                own = ()
        completed = replace(
            policy,
            match=policy.match or own,
            protocols=policy.protocols or settings.text(f"{prefix}_tls_{kind}protocols"),
            ciphers=policy.ciphers or settings.text(f"{prefix}_tls_{kind}ciphers"),
            exclude=policy.exclude or self._excluded(policy),
            server_name=policy.server_name or settings.text(f"{prefix}_tls_servername"),
        )
        try:
            parse_protocols(completed.protocols)
        except ValueError as error:
            raise ConfigError(str(error), parameter=f"{prefix}_tls_{kind}protocols") from error
        return completed

    def _excluded(self, policy: TlsPolicy) -> tuple[str, ...]:
        words = self._settings.items(f"{self._prefix}_tls_exclude_ciphers")
        if policy.is_mandatory:
            words += self._settings.items(f"{self._prefix}_tls_mandatory_exclude_ciphers")
        return words


def _with_attribute(policy: TlsPolicy, name: str, text: str) -> TlsPolicy:
    match name:
        case "match":
            split = text.split("|") if policy.level is Level.FINGERPRINT else list(_colon_list(text))
            return replace(policy, match=policy.match + tuple(split))
        case "protocols":
            return replace(policy, protocols=text)
        case "ciphers":
            return replace(policy, ciphers=text)
        case "exclude":
            return replace(policy, exclude=tuple(text.split(":")))
        case "servername":
            return replace(policy, server_name=text)
        case "tafile":
            return replace(policy, ca_file=text)
        case "connection_reuse":
            return policy
    raise ConfigError(f"unknown TLS policy attribute: {name}")


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
