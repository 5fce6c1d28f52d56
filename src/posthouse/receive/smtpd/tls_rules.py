"""What main.cf says about TLS with the clients of one smtpd service (postconf(5), smtpd_tls_*)."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.receive.smtpd.tls_level import Level, key_sources, tls_level
from posthouse.system.tls import cipher_list, parse_protocols
from posthouse.system.tls_server import ContextRules

_GRADES = ("high", "medium", "low", "export", "null")


@dataclass(frozen=True, slots=True)
class TlsRules:
    """One service's view; sources are files that belong together, for each certificate. Times in seconds."""

    level: Level
    is_wrapped: bool
    sources: tuple[tuple[str, ...], ...]
    protocols: str
    grade: str
    ciphers: str
    curves: str
    ticket_life: int
    handshake_limit: int
    asks_certificate: bool
    demands_certificate: bool
    ca_file: str
    ca_path: str
    trusts_system: bool
    own_order: bool
    dh_file: str
    digest: str
    log_level: int
    in_received: bool
    is_anonymous: bool

    @property
    def is_required(self) -> bool:
        """Whether mail needs TLS."""
        return self.level is Level.ENCRYPT

    @property
    def has_keys(self) -> bool:
        """Whether there is anything to serve with: certificates, or none on purpose."""
        return bool(self.sources) or self.is_anonymous

    @property
    def paths(self) -> tuple[str, ...]:
        """All the key files, in the order of sources."""
        return tuple(path for source in self.sources for path in source)

    def context_rules(self) -> ContextRules:
        """For OpenSSL. Raises ValueError for names that it does not know."""
        if self.grade not in _GRADES:
            raise ValueError(f'Invalid TLS cipher grade: "{self.grade}"')
        try:
            protocols = parse_protocols(self.protocols)
        except ValueError as error:
            raise ValueError(f'Invalid TLS protocol list "{self.protocols}"') from error
        return ContextRules(
            protocols,
            self.ciphers,
            self.curves,
            self.ticket_life,
            self.asks_certificate,
            self.ca_file,
            self.own_order,
            self.dh_file,
        )


def read_tls_rules(settings: Settings) -> TlsRules:
    """All of it. Raises ConfigError for values that are no good."""
    text, flag, items = settings.text, settings.flag, settings.items
    level = tls_level(settings)
    strict = "mandatory_" if level is Level.ENCRYPT else ""
    grade = text(f"smtpd_tls_{strict}ciphers").lower()
    demands = flag("smtpd_tls_req_ccert") and level is Level.ENCRYPT
    asks = demands or flag("smtpd_tls_ask_ccert")
    exclude = [*items("smtpd_tls_exclude_ciphers")]
    if strict:
        exclude += items("smtpd_tls_mandatory_exclude_ciphers")
    if asks and "aNULL" not in exclude:
        exclude.append("aNULL")
    base = text(f"tls_{grade}_cipherlist") if grade in _GRADES else ""
    dh_file = text("smtpd_tls_dh1024_param_file")
    digits = text("smtpd_tls_loglevel").strip()
    return TlsRules(
        level=level,
        is_wrapped=flag("smtpd_tls_wrappermode"),
        sources=key_sources(settings),
        protocols=" ".join(items(f"smtpd_tls_{strict}protocols")),
        grade=grade,
        ciphers=cipher_list(base, exclude),
        curves=_curves(settings),
        ticket_life=settings.seconds("smtpd_tls_session_cache_timeout"),
        handshake_limit=settings.seconds("smtpd_starttls_timeout"),
        asks_certificate=asks,
        demands_certificate=demands,
        ca_file=text("smtpd_tls_CAfile"),
        ca_path=text("smtpd_tls_CApath"),
        trusts_system=flag("tls_append_default_CA"),
        own_order=flag("tls_preempt_cipherlist"),
        dh_file="" if dh_file == "auto" else dh_file,
        digest=text("smtpd_tls_fingerprint_digest"),
        log_level=int(digits) if digits.isdecimal() else 0,
        in_received=flag("smtpd_tls_received_header"),
        is_anonymous=text("smtpd_tls_cert_file") == "none",
    )


def _curves(settings: Settings) -> str:
    """For OpenSSL, "" for its own choice, which is the better one where nobody has set anything."""
    match settings.text("smtpd_tls_eecdh_grade"):
        case "strong":
            return settings.text("tls_eecdh_strong_curve")
        case "ultra":
            return settings.text("tls_eecdh_ultra_curve")
    name = "tls_eecdh_auto_curves"
    return ":".join(settings.text(name).split()) if settings.is_set(name) else ""
