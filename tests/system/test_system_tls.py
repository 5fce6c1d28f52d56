from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import certificates
from posthouse.system.tls import TrustStore, Verdict, normal_fingerprint, parse_protocols, verify_problem


def der(pair):
    return pair.x509.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def authority(tmp_path):
    return certificates.make(tmp_path, "ca", "the authority", authority=True)


@pytest.fixture
def store(authority):
    return TrustStore((str(authority.certificate),))


def with_usage(authority, *usages):
    """A certificate of the authority that says what it is for."""
    leaf = x509.CertificateBuilder()
    now = dt.datetime.now(dt.UTC)
    return (
        leaf.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.test")]))
        .issuer_name(authority.x509.subject)
        .public_key(authority.x509.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .sign(authority.private, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def test_whose_chain_leads_to_a_known_authority_is_trusted(tmp_path, authority, store):
    good = certificates.make(tmp_path, "good", "mx.test", issuer=authority)
    assert store.verify([der(good)], "server") == Verdict()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("self", "certificate verification failed for mx: self-signed certificate"),
        ("expired", "server certificate verification failed for mx: certificate has expired"),
        ("other", "certificate verification failed for mx: untrusted issuer /CN=another authority"),
    ],
)
def test_what_is_wrong_with_a_chain_is_put_in_words(tmp_path, authority, store, kind, line):
    other = certificates.make(tmp_path, "other", "another authority", authority=True)
    issuer = {"self": None, "expired": authority, "other": other}[kind]
    shown = certificates.make(tmp_path, "x", "mx.test", issuer=issuer, expired=kind == "expired")
    assert verify_problem("mx", "server", store.verify([der(shown)], "server")) == line


def test_a_certificate_for_clients_is_none_for_servers_and_the_other_way_round(authority, store):
    for_clients = with_usage(authority, ExtendedKeyUsageOID.CLIENT_AUTH)
    verdict = store.verify([for_clients], "server")
    line = "certificate verification failed for mx: not designated for use as a server certificate"
    assert verify_problem("mx", "server", verdict) == line
    assert store.verify([for_clients], "client") == Verdict()
    assert store.verify([with_usage(authority, ExtendedKeyUsageOID.SERVER_AUTH)], "client").number
    assert store.verify([with_usage(authority, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)], "client") == Verdict()


def test_an_anchor_need_not_be_an_authority(tmp_path, authority):
    middle = certificates.make(tmp_path, "middle", "in between", issuer=authority, authority=True)
    leaf = certificates.make(tmp_path, "leaf", "mx.test", issuer=middle)
    assert TrustStore((str(middle.certificate),)).verify([der(leaf)], "server").number
    assert not TrustStore((str(middle.certificate),), is_partial=True).verify([der(leaf)], "server").number


@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"])
def test_files_without_certificates_are_named(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"ca\.pem"):
        TrustStore((str(path),))


@pytest.mark.parametrize(("text", "normal"), [("ab:cd", "AB:CD"), ("ABCD", "AB:CD"), ("abc", ""), ("x", ""), ("", "")])
def test_fingerprints_have_one_form(text, normal):
    assert normal_fingerprint(text) == normal


def test_a_version_that_nobody_speaks_restricts_nothing():
    assert parse_protocols("SSLv2") == parse_protocols("")
    assert parse_protocols("SSLv3") != parse_protocols("")
