"""Certificates that their authority has taken back are worth nothing."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import certificates
from posthouse.system.tls import TrustStore, verify_problem

NOW = dt.datetime.now(dt.UTC)


def revocation_list(authority, *taken_back, signed_by=None):
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.x509.subject)
    builder = builder.last_update(NOW - dt.timedelta(days=1)).next_update(NOW + dt.timedelta(days=7))
    for pair in taken_back:
        entry = x509.RevokedCertificateBuilder().serial_number(pair.x509.serial_number).revocation_date(NOW).build()
        builder = builder.add_revoked_certificate(entry)
    signed = builder.sign((signed_by or authority).private, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def chain(*pairs):
    return [pair.x509.public_bytes(serialization.Encoding.DER) for pair in pairs]


@pytest.fixture
def authority(tmp_path):
    return certificates.make(tmp_path, "ca", "the authority", authority=True)


def test_a_list_beside_the_authority_counts_and_a_new_one_does_at_once(tmp_path, authority):
    good = certificates.make(tmp_path, "good", "good.test", issuer=authority)
    lost = certificates.make(tmp_path, "lost", "lost.test", issuer=authority)
    own = authority.certificate.read_bytes()
    authority.certificate.write_bytes(own + revocation_list(authority, lost))
    store = TrustStore((str(authority.certificate),))
    assert not store.verify(chain(good), "server").number
    verdict = store.verify(chain(lost), "server")
    told = verify_problem("mx.test[192.0.2.1]:25", "server", verdict)
    assert told == "server certificate verification failed for mx.test[192.0.2.1]:25: num=23:certificate revoked"
    authority.certificate.write_bytes(own + revocation_list(authority, lost, good))
    assert store.verify(chain(good), "server").number == 23
    authority.certificate.unlink()
    assert store.verify(chain(good), "server").number == 23  # what was known counts


def test_an_authority_in_the_middle_may_be_taken_back(tmp_path, authority):
    middle = certificates.make(tmp_path, "middle", "the middle", issuer=authority, authority=True)
    leaf = certificates.make(tmp_path, "leaf", "leaf.test", issuer=middle)
    store = TrustStore((str(authority.certificate),))
    assert not store.verify(chain(leaf, middle), "server").number
    with open(authority.certificate, "ab") as file:
        file.write(revocation_list(authority, middle))
    assert store.verify(chain(leaf, middle), "server").number == 23


@pytest.mark.parametrize("kind", ["signed by another", "of another"])
def test_a_list_that_is_not_the_authoritys_does_not_count(tmp_path, authority, kind):
    leaf = certificates.make(tmp_path, "leaf", "leaf.test", issuer=authority)
    other = certificates.make(tmp_path, "other", "another authority", authority=True)
    text = {
        "signed by another": revocation_list(authority, leaf, signed_by=other),
        "of another": revocation_list(other, leaf),
    }[kind]
    lists = tmp_path / "lists"
    lists.write_bytes(authority.certificate.read_bytes() + text)
    assert not TrustStore((str(lists),)).verify(chain(leaf), "server").number
