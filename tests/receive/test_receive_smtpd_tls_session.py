"""What a TLS session is in Received: headers."""

from __future__ import annotations

import pytest

from posthouse.receive.smtpd.tls_session import TlsSession
from posthouse.system.tls import PeerCertificate
from posthouse.system.tls_server import Session as Handshake


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a (good) one", "a (good) one"),
        ("a (b", "a (b)"),
        ("a) b", "a? b"),
        ('back\\slash "q" (x (y) z', 'back?slash "q" (x (y) z)'),
        ("Zo\u00eb\n", "Zo???"),
    ],
)
def test_the_name_in_a_certificate_is_made_fit_for_a_comment(name, shown):
    found = Handshake("TLSv1.3", "X", 256, certificate=PeerCertificate([b"der"], (), name, "issuer"))
    tls = TlsSession(found, is_trusted=True, is_asked=True, digest="sha256")
    assert tls.received_lines()[1] == f'(Client CN "{shown}", Issuer "issuer" (verified OK))'
