"""What is known of a session under TLS, and how policy, the log and Received: put it (TLS_README)."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.maillog import smtpd as lines
from posthouse.policy.request import Request
from posthouse.system.tls_server import Session as Handshake

_BACKSLASH = 92
_GROUP_NAMES = {"secp256r1": "prime256v1", "P-256": "prime256v1"}


@dataclass(frozen=True, slots=True)
class TlsSession:
    """found is what OpenSSL says; is_trusted: the client's certificate is from a known authority; is_asked: it was
    asked for one; digest is smtpd_tls_fingerprint_digest.
    """

    found: Handshake
    is_trusted: bool
    is_asked: bool
    digest: str

    @property
    def trust_word(self) -> str:
        if not self.found.certificate.chain:
            return "Anonymous"
        return "Trusted" if self.is_trusted else "Untrusted"

    @property
    def described(self) -> str:
        """As the log has it."""
        exchange = self._exchange()
        return f"{self._cipher()}{' ' if exchange else ''}{exchange}"

    def _cipher(self) -> str:
        found = self.found
        return f"{found.version} with cipher {found.cipher} ({found.bits}/{found.bits} bits)"

    def _exchange(self) -> str:
        group = self.found.group
        if group.lower() in ("x25519", "x448"):
            group = group.upper()
        return f"key-exchange {_GROUP_NAMES.get(group, group)}" if group else ""

    def received_lines(self) -> tuple[str, ...]:
        """For smtpd_tls_received_header, without the white space around."""
        exchange = self._exchange()
        using = f"(using {self._cipher()}{chr(10) + chr(9) + ' ' if exchange else ''}{exchange})"
        certificate = self.found.certificate
        if certificate.chain:
            verdict = "verified OK" if self.is_trusted else "not verified"
            names = f'CN "{_safe(certificate.subject)}", Issuer "{_safe(certificate.issuer)}"'
            return using, f"(Client {names} ({verdict}))"
        if self.is_asked:
            return using, "(Client did not present a certificate)"
        return using, "(No client certificate requested)"

    def certificate_line(self) -> str:
        """For the log, at level 2."""
        certificate = self.found.certificate
        prints = (certificate.fingerprint(self.digest), certificate.public_key_fingerprint(self.digest))
        names = f"subject_CN={certificate.subject}, issuer={certificate.issuer}"
        return f"{names}, fingerprint={prints[0]}, pkey_fingerprint={prints[1]}"

    def tell(self, request: Request) -> None:
        """Let policy know."""
        found, certificate = self.found, self.found.certificate
        request.encryption_protocol, request.encryption_cipher = found.version, found.cipher
        request.encryption_keysize = found.bits
        if certificate.chain:
            request.ccert_fingerprint = certificate.fingerprint(self.digest)
            request.ccert_pubkey_fingerprint = certificate.public_key_fingerprint(self.digest)
            request.notes["ccert_name"] = lines.printable(certificate.subject)  # trusted or not
        if self.is_trusted:
            request.ccert_subject, request.ccert_issuer = certificate.subject, certificate.issuer
            request.notes["tls_trusted"] = "yes"


def _safe(name: str) -> str:
    """Fit for a comment of a header: with parentheses in pairs, and nothing that quotes or is no ASCII."""
    out, depth = [], 0
    for byte in name.encode("utf-8", "surrogateescape"):
        char = chr(byte) if 32 <= byte < 127 and byte != _BACKSLASH else "?"
        if char == ")" and not depth:
            char = "?"
        depth += (char == "(") - (char == ")")
        out.append(char)
    return "".join(out) + ")" * depth
