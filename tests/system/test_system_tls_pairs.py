from __future__ import annotations

import ssl

import pytest

import certificates
from posthouse.system.tls_pairs import load_pairs, parse_pairs


def test_keys_find_their_certificates_in_any_order(tmp_path):
    authority = certificates.make(tmp_path, "ca", "the authority", authority=True)
    one = certificates.make(tmp_path, "one", "one.test", issuer=authority)
    two = certificates.make(tmp_path, "two", "two.test")
    parts = (two.key, one.certificate, authority.certificate, one.key, two.certificate)
    pairs = parse_pairs(b"\n".join(path.read_bytes() for path in parts))
    assert [(pair.certificate, len(pair.chain)) for pair in pairs] == [(one.x509, 1), (two.x509, 0)]


@pytest.mark.parametrize(
    ("names", "trouble"),
    [
        (["one.pem"], "no private key found"),
        (["one.key"], "no certificate found"),
        (["one.key", "two.pem"], "the private key does not belong to the certificate"),
        ([], "no private key found"),
    ],
)
def test_what_is_missing_is_named(tmp_path, names, trouble):
    for name in ("one", "two"):
        certificates.make(tmp_path, name, f"{name}.test")
    with pytest.raises(ValueError, match=trouble):
        parse_pairs(b"\n".join((tmp_path / name).read_bytes() for name in names))


def test_a_key_that_is_cut_off_is_named(tmp_path):
    pair = certificates.make(tmp_path, "one", "one.test")
    begin, middle, end = pair.key.read_bytes().partition(b"\n")
    with pytest.raises(ValueError, match="cannot use a private key"):
        parse_pairs(begin + middle + end[40:] + pair.certificate.read_bytes())


def test_the_ssl_module_gets_key_certificate_and_chain(tmp_path):
    authority = certificates.make(tmp_path, "ca", "the authority", authority=True)
    one = certificates.make(tmp_path, "one", "one.test", issuer=authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_pairs(
        context, parse_pairs(b"\n".join(p.read_bytes() for p in (one.key, one.certificate, authority.certificate)))
    )
    assert list(tmp_path.glob("tmp*")) == []
