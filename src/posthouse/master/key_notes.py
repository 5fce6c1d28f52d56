"""What is odd about key files, though TLS works: keys that others may change, and certificates for another name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.master.keys import read_keys, sources_of
from posthouse.protocols.tls_names import certificate_matches

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_CHANGES = stat.S_IWOTH | stat.S_IWGRP


def key_notes(settings: Settings, services: Iterable[Service]) -> Iterator[tuple[str, str]]:
    """Files, and what to say of them."""
    services = tuple(services)
    sources = sources_of(settings, services)
    keys = read_keys(path for source in sources for path in source)
    for path, file in keys.items():
        if b"PRIVATE KEY-----" in file.data and (mode := stat.S_IMODE(os.stat(path).st_mode)) & _CHANGES:
            yield path, f"others than its owner may change this private key (mode {mode:04o}; 0600 is enough)"
    by_name = {service.name: service for service in services if service.command == "smtpd"}
    for source, name in sources.items():
        service = by_name.get(name)
        if service is None or not all(path in keys for path in source):
            continue
        view = settings.with_overrides(service.options, service.name)
        data = b"\n".join(keys[path].data for path in source)
        yield from ((source[-1], text) for text in _other_names(view.text("myhostname"), data))


def _other_names(hostname: str, data: bytes) -> Iterator[str]:
    from posthouse.system.tls import certificate_of
    from posthouse.system.tls_pairs import parse_pairs

    try:
        pairs = parse_pairs(data)
    except ValueError:
        return  # said elsewhere, and louder
    for pair in pairs:
        names = certificate_of([_der(pair.certificate)]).names
        if not certificate_matches([hostname.lower()], names):
            shown = ", ".join(names) or "no name at all"
            yield f"the certificate is for {shown}, not for {hostname} (myhostname)"


def _der(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)
