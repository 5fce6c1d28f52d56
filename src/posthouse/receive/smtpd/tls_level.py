"""Whether a smtpd service has to do with TLS, and which files it needs for that (postconf(5), smtpd_tls_*)."""

from __future__ import annotations

from enum import IntEnum

from posthouse.config.settings import Settings


class Level(IntEnum):
    """smtpd_tls_security_level."""

    NONE = 0
    MAY = 1
    ENCRYPT = 2


# Levels that are about the certificate of the other side; a server takes them for "encrypt".
STRONGER = ("fingerprint", "verify", "secure")


def tls_level(settings: Settings) -> Level:
    """With the two parameters of old configurations, and wrapper mode, which means encrypt."""
    if settings.flag("smtpd_tls_wrappermode"):
        return Level.ENCRYPT
    match settings.text("smtpd_tls_security_level").strip():
        case "none":
            return Level.NONE
        case "may":
            return Level.MAY
        case "":
            if settings.flag("smtpd_enforce_tls"):
                return Level.ENCRYPT
            return Level.MAY if settings.flag("smtpd_use_tls") else Level.NONE
        case _:  # also what only a client can ask for (STRONGER)
            return Level.ENCRYPT


def key_sources(settings: Settings, prefix: str = "smtpd") -> tuple[tuple[str, ...], ...]:
    """The files with keys and certificates: all of smtpd_tls_chain_files, or a pair for each kind of key.

    prefix is "smtpd", or "smtp" or "lmtp" for what a client shows.
    """
    chain = settings.items(f"{prefix}_tls_chain_files")
    if chain:
        return (chain,)
    sources = []
    for kind in ("", "ec", "d"):
        certificate = settings.text(f"{prefix}_tls_{kind}cert_file")
        if certificate and certificate != "none":
            sources.append((settings.text(f"{prefix}_tls_{kind}key_file"), certificate))
    return tuple((certificate,) if key == certificate else (key, certificate) for key, certificate in sources)
