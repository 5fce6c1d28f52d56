"""What is wrong with the words of main.cf about logins and TLS: a misspelt one would leave out a protection unseen."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence

from posthouse.config.check import Finding, Severity
from posthouse.config.main_cf import Place
from posthouse.config.settings import Settings
from posthouse.mail.headers import ROLES
from posthouse.sasl import TYPES
from posthouse.system.tls import parse_protocols

OPTIONS = ("noplaintext", "noactive", "nodictionary", "noanonymous", "mutual_auth", "forward_secrecy")
SENDERS = ("From", "Sender", "Resent-From", "Resent-Sender", "Reply-To")
GRADES = ("high", "medium", "low", "export", "null")


def check_logins(view: Settings, written: Sequence[str]) -> Iterator[Finding]:
    """The parameters that this view sets itself."""
    for name in written:
        if name.startswith(("smtpd_", "smtp_", "lmtp_")):
            yield from _about(view, name)
        elif name == "posthouse_header_sender_login_fields":
            known = [field.decode() for field in ROLES]
            for word in view.items(name):
                if word.rstrip(":").lower() not in known:
                    text = f'{name}: "{word}" is no field with addresses{_meant(word, SENDERS)}'
                    yield _finding(view, name, text)


def _about(view: Settings, name: str) -> Iterator[Finding]:
    match name.partition("_")[2]:
        case "sasl_type" if name == "smtpd_sasl_type" and view.text(name) not in TYPES:
            text = f"{name} = {view.text(name)}: there are {', '.join(TYPES)}{_meant(view.text(name), TYPES)}"
            yield _finding(view, name, text, "fatal" if view.flag("smtpd_sasl_auth_enable") else "warning")
        case "sasl_security_options" | "sasl_tls_security_options" | "sasl_tls_verified_security_options":
            for word in view.items(name):
                if word.lower() not in OPTIONS:
                    text = f'{name}: "{word}" is no option{_meant(word, OPTIONS)}'
                    yield _finding(view, name, text, "fatal")
        case "tls_protocols" | "tls_mandatory_protocols":
            try:
                parse_protocols(view.text(name))
            except ValueError as error:
                yield _finding(view, name, f"{name}: {error}; without that TLS does not work here")
        case "tls_ciphers" | "tls_mandatory_ciphers" if view.text(name).lower() not in GRADES:
            text = f"{name} = {view.text(name)}: this is no grade{_meant(view.text(name), GRADES)}"
            yield _finding(view, name, f"{text}; TLS does not work so")
        case "tls_fingerprint_digest" if not _is_digest(view.text(name)):
            known = ("sha256", "sha512", "sha1", "md5")
            text = f"{name} = {view.text(name)}: this is no digest algorithm{_meant(view.text(name), known)}"
            yield _finding(view, name, text, "fatal")
        case "tls_security_level" if view.text(name).lower() in ("dane", "dane-only"):
            yield _finding(view, name, f"{name} = {view.text(name)}: DANE is not built yet; verify or secure are")
        case _:
            return


def _is_digest(name: str) -> bool:
    return name.lower() in hashlib.algorithms_available and not name.lower().startswith("shake")


def _meant(word: str, known: Sequence[str]) -> str:
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[near[0]]}?" if near else f" ({', '.join(known)})"


def _finding(view: Settings, name: str, text: str, severity: Severity = "warning") -> Finding:
    place = view.place(name) or Place("", 0)
    return Finding(severity, place.file, place.line, name, text)
