"""Certificates that their authority has taken back: the lists of them (RFC 5280, 5) in smtp_tls_CAfile and its like.

# Differs from Postfix, which looks at no such list.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

_BLOCK = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_SIZE_LIMIT = 50_000_000  # bytes


@dataclass(slots=True)
class _ListedFile:
    path: str
    mark: tuple[int, int, int] = (0, 0, 0)
    lists: list[x509.CertificateRevocationList] = field(default_factory=list)

    def refresh(self) -> None:
        """Read it again where it has changed; while it cannot be read, what was known counts."""
        try:
            found = os.stat(self.path)
            mark = (found.st_mtime_ns, found.st_ino, found.st_size)
            if mark == self.mark:
                return
            with open(self.path, "rb") as file:
                data = file.read(_SIZE_LIMIT)
            self.lists = [x509.load_pem_x509_crl(block + b"\n") for block in _BLOCK.findall(data)]
            self.mark = mark
        except (OSError, ValueError):
            return


class RevocationLists:
    """The lists in some files; a new list counts at once."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = [_ListedFile(path) for path in files if path]

    def revoked_by(self, chain: Sequence[x509.Certificate]) -> x509.Name | None:
        """The authority that has taken back a certificate of a verified chain (the peer's first, the root last)."""
        for file in self._files:
            file.refresh()
            for certificate, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
                if any(_takes_back(one, certificate, issuer) for one in file.lists):
                    return certificate.issuer
        return None


def _takes_back(one: x509.CertificateRevocationList, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if one.issuer != certificate.issuer:
        return False
    if one.get_revoked_certificate_by_serial_number(certificate.serial_number) is None:
        return False
    try:
        return one.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (InvalidSignature, UnsupportedAlgorithm, TypeError):
        return False
