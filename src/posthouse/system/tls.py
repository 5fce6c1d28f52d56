"""TLS by the words of Postfix: protocol ranges, cipher grades, and what a peer's certificate is worth (TLS_README)."""

from __future__ import annotations

import hashlib
import re
import ssl
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

from posthouse.system.revocation import RevocationLists

_VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
}
_OFF = {
    "tlsv1": ssl.OP_NO_TLSv1,
    "tlsv1.1": ssl.OP_NO_TLSv1_1,
    "tlsv1.2": ssl.OP_NO_TLSv1_2,
    "tlsv1.3": ssl.OP_NO_TLSv1_3,
}
_NOTHING_OFF = ssl.Options(0)
_ANCIENT = {"sslv2", "sslv3"}
_WITHOUT_MEANING = "sslv2"  # nobody speaks it; a list of it alone is as good as none
_DER = 2  # _ssl.ENCODING_DER
_SELF_SIGNED = 18
_UNKNOWN_ISSUER = (2, 19, 20, 21, 27)
_PURPOSE = 26
_REVOKED = 23
_DATES = {9: "not yet valid", 10: "has expired"}


@dataclass(frozen=True, slots=True)
class Protocols:
    """The versions that may be spoken: a range, and single ones switched off. Raises ValueError for unknown names."""

    lowest: ssl.TLSVersion = ssl.TLSVersion.MINIMUM_SUPPORTED
    highest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    off: ssl.Options = _NOTHING_OFF


def parse_protocols(text: str) -> Protocols:
    """As in smtpd_tls_protocols: ">=TLSv1.2", "!SSLv2, !SSLv3, !TLSv1" or "TLSv1.2 TLSv1.3"."""
    lowest, highest = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.MAXIMUM_SUPPORTED
    off, only = _NOTHING_OFF, set()
    for word in re.split(r"[\s,:]+", text.strip()):
        name = word.lower().lstrip("<>=!")
        if not name:
            continue
        if name not in _VERSIONS and name not in _ANCIENT:
            raise ValueError(f"unknown TLS protocol {word}")
        if word.startswith(">="):
            lowest = _VERSIONS.get(name, lowest)
        elif word.startswith("<="):
            highest = _VERSIONS.get(name, highest)
        elif word.startswith("!"):
            off |= _OFF.get(name, _NOTHING_OFF)
        elif name != _WITHOUT_MEANING:
            only.add(name)
    if only:
        for name, option in _OFF.items():
            off |= _NOTHING_OFF if name in only else option
    return Protocols(lowest, highest, off)


def limit_protocols(context: ssl.SSLContext, protocols: Protocols) -> None:
    """Make the context speak these versions only."""
    with warnings.catch_warnings():
        # Python warns of TLSv1 and TLSv1.1; whether they may be spoken is for main.cf to say.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = protocols.lowest
        context.maximum_version = protocols.highest
        context.options |= protocols.off


def cipher_list(base: str, exclude: Iterable[str]) -> str:
    """OpenSSL's cipher list: a grade's list without what is excluded (smtp_tls_exclude_ciphers)."""
    return ":".join([base, *(f"!{word}" for word in exclude)])


@dataclass(frozen=True, slots=True)
class Verdict:
    """OpenSSL's on a chain: its number (0 good) and words; issuer is that of the certificate it found fault with."""

    number: int = 0
    words: str = ""
    issuer: str = ""


class TrustStore:
    """Judges certificate chains without breaking the connection, so that a log can say what was wrong.

    Raises ValueError for files that are no good. is_partial: whoever is in the file counts, an authority or not.
    """

    def __init__(
        self, files: Iterable[str], directory: str = "", *, system_too: bool = False, is_partial: bool = False
    ) -> None:
        files = tuple(files)
        self._store, self._revoked = crypto.X509Store(), RevocationLists(files)
        for file, folder in (*((file, None) for file in files), (None, directory or None)):
            if file or folder:
                self._load(file, folder)
        if system_too:
            paths = ssl.get_default_verify_paths()
            self._load(paths.cafile, paths.capath)
        if is_partial:
            self._store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)

    def _load(self, file: str | None, folder: str | None) -> None:
        try:
            self._store.load_locations(file, folder)
        except crypto.Error as error:
            raise ValueError(f"cannot load certificates from {file or folder}") from error

    def verify(self, chain: list[bytes], purpose: str) -> Verdict:
        """OpenSSL's verdict on a chain of DER certificates, the peer's first; purpose is "server" or "client"."""
        certificates = [crypto.load_certificate(crypto.FILETYPE_ASN1, der) for der in chain]
        context = crypto.X509StoreContext(self._store, certificates[0], certificates[1:])
        try:
            verified = context.get_verified_chain()
        except crypto.X509StoreContextError as error:
            return Verdict(
                int(error.errors[0]), str(error.errors[2]), _one_line(error.certificate.to_cryptography().issuer)
            )
        chained = [found.to_cryptography() for found in verified]
        taken_back_by = self._revoked.revoked_by(chained)
        if taken_back_by is not None:
            return Verdict(_REVOKED, "certificate revoked", _one_line(taken_back_by))
        for certificate in chained[:-1] or chained:
            if not _is_meant_for(certificate, purpose):
                return Verdict(_PURPOSE, "unsupported certificate purpose", _one_line(certificate.issuer))
        return Verdict()


def _is_meant_for(certificate: x509.Certificate, purpose: str) -> bool:
    """Whether a certificate that says what it is for may serve for that (RFC 5280, 4.2.1.12)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False
    wanted = ExtendedKeyUsageOID.SERVER_AUTH if purpose == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
    return wanted in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _one_line(name: x509.Name) -> str:
    """A name as logs have it: "/C=NL/CN=an authority"."""
    return "".join(f"/{part.rfc4514_attribute_name}={part.value!s}" for part in name)


def verify_problem(peer: str, purpose: str, verdict: Verdict) -> str:
    """A failed verification as Postfix logs it; purpose is "server" or "client"."""
    number = verdict.number
    if number == _SELF_SIGNED:
        return f"certificate verification failed for {peer}: self-signed certificate"
    if number in _UNKNOWN_ISSUER:
        return f"certificate verification failed for {peer}: untrusted issuer {_safe(verdict.issuer)}"
    if number == _PURPOSE:
        return f"certificate verification failed for {peer}: not designated for use as a {purpose} certificate"
    if number in _DATES:
        return f"{purpose} certificate verification failed for {peer}: certificate {_DATES[number]}"
    return f"{purpose} certificate verification failed for {peer}: num={number}:{verdict.words}"


def _safe(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def normal_fingerprint(text: str) -> str:
    """A fingerprint as "AB:CD:...", from hexadecimal with or without colons; "" for what is none."""
    try:
        return bytes.fromhex(text.replace(":", "")).hex(":").upper()
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a peer showed. chain in DER, its own first ([] none); names as in subjectAltName, else the common name."""

    chain: list[bytes] = field(default_factory=list)
    names: tuple[str, ...] = ()
    subject: str = ""
    issuer: str = ""

    def fingerprint(self, digest: str) -> str:
        """Of the certificate, "AB:CD:..." in capital hexadecimal."""
        return hashlib.new(digest, self.chain[0]).digest().hex(":").upper() if self.chain else ""

    def public_key_fingerprint(self, digest: str) -> str:
        """Of the public key alone."""
        if not self.chain:
            return ""
        key = (
            x509.load_der_x509_certificate(self.chain[0])
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return hashlib.new(digest, key).digest().hex(":").upper()


def peer_certificate(connection: Any) -> PeerCertificate:
    """The certificate of an ssl.SSLObject's peer, verified or not."""
    own = connection._sslobj  # noqa: SLF001  (the chain is public only from Python 3.13 on)
    chain = [certificate.public_bytes(_DER) for certificate in own.get_unverified_chain() or []]
    leaf = connection.getpeercert(binary_form=True)
    if leaf and leaf not in chain:
        chain.insert(0, leaf)
    return certificate_of(chain)


def certificate_of(chain: list[bytes]) -> PeerCertificate:
    """What a chain of DER certificates says, the peer's own first."""
    if not chain:
        return PeerCertificate()
    certificate = x509.load_der_x509_certificate(chain[0])
    common, issuer = _common_name(certificate.subject), _common_name(certificate.issuer)
    return PeerCertificate(chain, _names(certificate) or ((common,) if common else ()), common, issuer)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(found.value.get_values_for_type(x509.DNSName))


def described_session(connection: Any) -> str:
    """Version and cipher as logs and Received: say it: "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"."""
    name, _, bits = connection.cipher() or ("(NONE)", "", 0)
    return f"{connection.version()} with cipher {name} ({bits}/{bits} bits)"
