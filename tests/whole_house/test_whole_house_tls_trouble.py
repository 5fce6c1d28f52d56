"""TLS that goes wrong: handshakes that hang, a man in the middle who strips STARTTLS, keys that are no good."""

from __future__ import annotations

import contextlib
import os
import shutil
import smtplib
import socket
import ssl
import tempfile
import threading
import time
from pathlib import Path

import pytest

import certificates
from whole_house.house_scene import WholeHouse, until
from whole_house.submission_scene import SubmissionHouse

MANY = 40  # below smtpd_client_connection_count_limit
CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(40)  # its first bytes


@pytest.fixture
def place():
    place = Path(tempfile.mkdtemp(prefix="posthouse-trouble-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def hanging(port, *, starttls, sends):
    """A connection whose handshake does not go on."""
    sock = socket.create_connection(("127.0.0.1", port), 60)
    if starttls:
        sock.recv(1000)
        sock.sendall(b"STARTTLS\r\n")
        assert sock.recv(1000).startswith(b"220")
    sock.sendall(sends)
    return sock


def test_handshakes_that_hang_hold_up_nobody_and_end_by_their_time_limit(place):
    house = SubmissionHouse(place / "house", "smtpd_starttls_timeout = 10s\n")
    house.start()
    try:
        with contextlib.ExitStack() as stack:
            began = time.monotonic()
            socks = [
                stack.enter_context(
                    hanging(
                        house.submission if number % 2 else house.submissions,
                        starttls=bool(number % 2),
                        sends=CLIENT_HELLO if number % 3 else b"",
                    )
                )
                for number in range(MANY)
            ]
            context = ssl.create_default_context(cafile=str(house.authority.certificate))
            with smtplib.SMTP("localhost", house.port, timeout=60) as client:
                client.starttls(context=context)
                client.sendmail("friend@sender.test", "info@example.org", "Subject: past them all\r\n\r\ntext\r\n")
            house.arrived("past them all")
            for sock in socks:
                sock.settimeout(60)
                with contextlib.suppress(ConnectionResetError):
                    while sock.recv(1000):
                        pass
            assert time.monotonic() - began >= 9
        until(lambda: house.log.count("SSL_accept error from localhost[127.0.0.1]: Connection timed out") == MANY)
        until(lambda: house.log.count("lost connection after ") == MANY)
    finally:
        house.stop()


class Stripper(threading.Thread):
    """A man in the middle: passes everything on, but the word STARTTLS is another one then."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.behind = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.behind), 30)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(source, target), daemon=True).start()

    @staticmethod
    def carry(source, target):
        with source, target, contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data.replace(b"STARTTLS", b"XXXXXXXX"))
            target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("level", ["may", "encrypt", "secure"])
def test_a_man_in_the_middle_who_strips_starttls_gets_mail_only_where_tls_is_a_mere_wish(place, level):
    far = SubmissionHouse(place / "far")
    middle = Stripper(far.port)
    middle.start()
    (place / "near").mkdir()
    near = WholeHouse(
        place / "near",
        f"relayhost = [127.0.0.1]:{middle.port}\nsmtp_tls_security_level = {level}\nvirtual_mailbox_domains =\n"
        f"smtp_tls_CAfile = {far.authority.certificate}\nmynetworks = 127.0.0.1/32\n"
        "smtpd_relay_restrictions = permit_mynetworks, reject\n",
    )
    try:
        far.start()
        near.start()
        near.send("info@example.org", f"at level {level}")
        if level == "may":
            assert "with ESMTP id" in far.arrived("at level may")
            return
        said = f"TLS is required, but was not offered by host 127.0.0.1[127.0.0.1]:{middle.port})"
        until(lambda: f"dsn=4.7.4, status=deferred ({said[: said.index(']') + 1]}" in near.log)
        assert far.maildir("info") == []
        assert "info@example.org" in near.command("mailq").stdout
    finally:
        near.stop()
        far.stop()
        middle.listener.close()


def told(place, main_cf):
    """What `postfix check` says of such a house."""
    house = WholeHouse(place, f"smtpd_tls_security_level = may\n{main_cf}")
    done = house.command("postfix", "check")
    assert done.returncode == 0
    return done.stderr + house.log


@pytest.mark.parametrize(
    ("main_cf", "complaint"),
    [
        ("smtpd_tls_chain_files = {open}, {good.certificate}\n", "everybody may read the private key in {open}"),
        (
            "smtpd_tls_chain_files = {good.key}, {old.certificate}\n",
            "the private key does not belong to the certificate",
        ),
        ("smtpd_tls_chain_files = {old.key}, {old.certificate}\n", "the certificate has expired on "),
        ("smtpd_tls_chain_files = /nowhere.pem\n", "cannot read /nowhere.pem"),
        ("smtpd_tls_cert_file = {good.certificate}\n", "no private key found"),
        (
            "smtp_tls_chain_files = {good.key}, {old.certificate}\n",
            "the private key does not belong to the certificate",
        ),
    ],
)
def test_what_is_wrong_with_keys_is_told_before_it_hurts(place, main_cf, complaint):
    good, old = certificates.make(place, "good", "a.test"), certificates.make(place, "old", "a.test", expired=True)
    readable = place / "open.key"
    shutil.copy(good.key, readable)
    readable.chmod(0o644)
    values = {"good": good, "old": old, "open": readable}
    assert complaint.format(**values) in told(place, main_cf.format(**values))


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every file")
def test_a_key_that_may_not_be_read_is_told_before_it_hurts(place):
    pair = certificates.make(place, "good", "a.test")
    pair.key.chmod(0)
    assert f"cannot read {pair.key}" in told(place, f"smtpd_tls_chain_files = {pair.key}, {pair.certificate}\n")


def test_sound_keys_are_not_complained_about(place):
    pair = certificates.make(place, "good", "a.test")
    assert "TLS of service" not in told(place, f"smtpd_tls_chain_files = {pair.key}, {pair.certificate}\n")


def test_a_revoked_certificate_is_kept_out_by_its_fingerprint(place):
    house = SubmissionHouse(place / "house")
    pairs = {n: certificates.make(place, n, f"{n}.test", issuer=house.authority) for n in ("good", "revoked")}
    with (house.conf / "main.cf").open("a") as main_cf:
        main_cf.write(
            f"smtpd_tls_CAfile = {house.authority.certificate}\nsmtpd_tls_req_ccert = yes\n"
            f"smtpd_tls_fingerprint_digest = sha256\nsmtpd_recipient_restrictions = check_ccert_access inline:{{ "
            f"{{ {pairs['revoked'].fingerprint()} = REJECT the key was stolen }} }}\n"
        )
    text = (house.conf / "master.cf").read_text().replace("smtpd_recipient_restrictions=", "smtpd_delay_reject=yes")
    mua = "permit_tls_all_clientcerts,reject"
    text = text.replace("smtpd_client_restrictions=$mua_client_restrictions", f"smtpd_client_restrictions={mua}")
    text = text.replace("permit_sasl_authenticated,permit_tls_clientcerts,reject", mua)
    (house.conf / "master.cf").write_text(text)
    house.start()
    try:
        answers = {}
        for name, pair in pairs.items():
            context = ssl.create_default_context(cafile=str(house.authority.certificate))
            context.load_cert_chain(pair.certificate, pair.key)
            with smtplib.SMTP_SSL("localhost", house.submissions, timeout=60, context=context) as client:
                client.ehlo()
                client.mail("joe@example.org")
                answers[name] = client.rcpt("x@elsewhere.test")
        assert answers["good"][0] == 250
        said = b"5.7.1 <revoked.test>: Client certificate rejected: the key was stolen"
        assert answers["revoked"] == (554, said)
    finally:
        house.stop()
