"""Private keys with their certificates, as PEM files hold them, and as TLS wants them (smtp_tls_chain_files)."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key with its certificate and the chain above it."""

    key: Any
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()


def parse_pairs(data: bytes) -> list[Pair]:
    """Keys and certificates in PEM, in any order; the chain of a certificate is what stands between it and the next one
    that has a key. Raises ValueError with what is wrong.
    """
    keys: list[Any] = []
    certificates: list[x509.Certificate] = []
    for found in _BLOCK.finditer(data):
        kind, block = found[1], found[0] + b"\n"
        try:
            if kind.endswith(b"PRIVATE KEY"):
                keys.append(serialization.load_pem_private_key(block, None))
            elif kind == b"CERTIFICATE":
                certificates.append(x509.load_pem_x509_certificate(block))
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"cannot use a {kind.decode().lower()}: {error}") from error
    if not keys:
        raise ValueError("no private key found")
    if not certificates:
        raise ValueError("no certificate found")
    return _paired(keys, certificates)


def _paired(keys: list[Any], certificates: list[x509.Certificate]) -> list[Pair]:
    public = [_spki(certificate.public_key()) for certificate in certificates]
    places: list[tuple[int, Any]] = []
    for key in keys:
        wanted = _spki(key.public_key())
        if wanted not in public:
            raise ValueError("the private key does not belong to the certificate")
        places.append((public.index(wanted), key))
    places.sort(key=lambda place: place[0])
    ends = [place for place, _ in places[1:]] + [len(certificates)]
    return [
        Pair(key, certificates[start], tuple(certificates[start + 1 : end]))
        for (start, key), end in zip(places, ends, strict=True)
    ]


def _spki(key: Any) -> bytes:
    found: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return found


def load_pairs(context: ssl.SSLContext, pairs: Iterable[Pair]) -> None:
    """For the ssl module, which reads files alone. Raises OSError (ssl.SSLError is one)."""
    for pair in pairs:
        with _as_file(_written(pair)) as path:
            context.load_cert_chain(path)


def _written(pair: Pair) -> bytes:
    pem = serialization.Encoding.PEM
    key: bytes = pair.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key + b"".join(certificate.public_bytes(pem) for certificate in (pair.certificate, *pair.chain))


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """In memory where that can be done (on Linux), or in a file that nobody else may open."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("key", os.MFD_CLOEXEC)
        try:
            os.write(fd, data)
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.name
