"""Files that only root may read: private keys and tables of passwords."""

from __future__ import annotations

import os
import shutil
import smtplib
import ssl
import tempfile
from pathlib import Path

import pytest

import certificates
from whole_house.house_scene import WholeHouse, until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can keep something from the mail system's user")


def served(house, authority):
    with smtplib.SMTP("localhost", house.port, timeout=20) as client:
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.check_hostname = False
        client.starttls(context=context)
        certificate = client.sock.getpeercert()
    return dict(pair for entry in certificate["subject"] for pair in entry)["commonName"]


@pytest.fixture
def place():
    """Not in tmp_path, which pytest keeps closing to others."""
    folder = Path(tempfile.mkdtemp(prefix="posthouse-keys-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def closed(place):
    """A folder that only root may enter, as /etc/letsencrypt/live is."""
    folder = place / "live"
    folder.mkdir(mode=0o700)
    return folder


def test_a_key_in_a_closed_folder_serves_and_is_renewed_at_once(place, closed):
    authority = certificates.make(place, "ca", "the authority", authority=True)
    first = certificates.make(place, "first", "first.example.com", issuer=authority)
    second = certificates.make(place, "second", "second.example.com", issuer=authority)

    def install(pair):
        for source, name in ((pair.key, "key.pem"), (pair.certificate, "cert.pem")):
            (closed / "new").write_bytes(source.read_bytes())
            (closed / "new").chmod(0o600)
            os.rename(closed / "new", closed / name)

    install(first)
    text = f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {closed}/cert.pem\nsmtpd_tls_key_file = {closed}/key.pem\n"
    house = WholeHouse(place, text)
    house.start()
    try:
        assert served(house, authority) == "first.example.com"
        install(second)
        assert served(house, authority) == "second.example.com"
        assert served(house, authority) == "second.example.com"
        assert "Permission denied" not in house.log
    finally:
        house.stop()


def test_a_table_that_only_root_may_read_is_read_and_changes_are_seen(place):
    house = WholeHouse(place)
    table = house.conf / "private"
    with open(house.conf / "main.cf", "a") as file:
        file.write(f"virtual_alias_maps = hash:{table}\nvirtual_alias_domains =\n")

    def write(text):
        table.write_text(text)
        table.chmod(0o600)
        assert house.command("postmap", f"hash:{table}").returncode == 0
        (house.conf / "private.db").chmod(0o600)

    write("a@example.org info@example.org\n")
    house.start()
    try:
        house.send("a@example.org", "to the first")
        until(lambda: any("to the first" in text for text in house.maildir("info")))
        write("a@example.org info@example.org\nb@example.org info@example.org\n")
        with house.client() as client:
            client.sendmail("friend@sender.test", "a@example.org", "Subject: while it changes\r\n\r\nx\r\n")
        until(lambda: "is for root to read: new workers are started" in house.log)
        until(lambda: _takes(house, "b@example.org"))
        house.send("b@example.org", "to the second")
        until(lambda: any("to the second" in text for text in house.maildir("info")))
        assert any("while it changes" in text for text in house.maildir("info"))
    finally:
        house.stop()


def _takes(house, recipient):
    with house.client() as client:
        client.ehlo()
        client.mail("friend@sender.test")
        return client.rcpt(recipient)[0] == 250


@pytest.mark.parametrize("names", ["cert_file and key_file", "chain_files"])
def test_a_key_in_a_closed_folder_is_shown_to_other_servers(place, closed, names):
    authority = certificates.make(place, "ca", "the authority", authority=True)
    pair = certificates.make(closed, "client", "client.example.com", issuer=authority)
    server = certificates.make(place, "server", "mail.example.com", issuer=authority)
    (place / "far").mkdir()
    far = WholeHouse(
        place / "far",
        f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {server.key} {server.certificate}\nsmtpd_tls_loglevel = 1\n"
        f"smtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = {authority.certificate}\n",
    )
    (place / "near").mkdir()
    own = f"smtp_tls_cert_file = {pair.certificate}\nsmtp_tls_key_file = {pair.key}\n"
    if names == "chain_files":
        own = f"smtp_tls_chain_files = {pair.key}, {pair.certificate}\n"
    near = WholeHouse(
        place / "near",
        f"smtp_tls_security_level = may\n{own}"
        f"transport_maps = inline:{{ {{ example.org = smtp:[127.0.0.1]:{far.port} }} }}\n",
    )
    try:
        far.start()
        near.start()
        near.send("info@example.org", "with a certificate")
        until(lambda: any("with a certificate" in text for text in far.maildir("info")))
        assert "Trusted TLS connection established from localhost[127.0.0.1]" in far.log
    finally:
        near.stop()
        far.stop()
