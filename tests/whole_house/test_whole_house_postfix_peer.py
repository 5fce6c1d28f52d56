"""TLS and logins between Posthouse and the real Postfix, in both directions."""

from __future__ import annotations

import itertools
import shutil
import smtplib
import tempfile
from pathlib import Path

import pytest

import certificates
from whole_house.dovecot_scene import Dovecot
from whole_house.house_scene import free_port, until
from whole_house.postfix_scene import RealPostfix, is_here
from whole_house.submission_scene import PASSWORD, SubmissionHouse

SECRET = "secret"  # as examples/dovecot/users has it
NUMBERS = itertools.count(1)

pytestmark = pytest.mark.skipif(not is_here(), reason="needs Postfix, and root")


@pytest.fixture(scope="module")
def place():
    place = Path(tempfile.mkdtemp(prefix="posthouse-peer-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def postfix_server(place):
    """A Postfix that takes mail from whom Dovecot knows."""
    if not shutil.which("dovecot"):
        pytest.skip("needs dovecot-core, dovecot-imapd, dovecot-lmtpd")
    authority = certificates.make(place, "ca", "the authority", authority=True)
    pair = certificates.make(place, "server", "postfix.example.net", issuer=authority)
    dovecot = Dovecot(place / "dovecot", place / "postfix/spool", pair, free_port())
    postfix = RealPostfix(
        place / "postfix",
        f"smtpd_tls_chain_files = {pair.key} {pair.certificate}\nsmtpd_tls_security_level = may\nsmtpd_tls_loglevel = 1\n"
        f"smtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:{dovecot.auth}\nsmtpd_tls_ask_ccert = yes\n"
        f"smtpd_tls_CAfile = {authority.certificate}\nsmtpd_relay_restrictions = permit_sasl_authenticated, reject\n",
    )
    postfix.authority = authority
    postfix.start()
    dovecot.start()
    yield postfix
    dovecot.stop()
    postfix.stop()


@pytest.fixture
def client_house(place, postfix_server):
    """A house that sends everything to that Postfix, with a certificate and joe's password."""
    own = certificates.make(place, f"own-{next(NUMBERS)}", "client.example.com", issuer=postfix_server.authority)

    def made(port, password=SECRET, more=""):
        house = SubmissionHouse(
            place / f"house-{next(NUMBERS)}",
            f"relayhost = [127.0.0.1]:{port}\nsmtp_sasl_auth_enable = yes\n"
            f"smtp_sasl_password_maps = inline:{{ {{ [127.0.0.1]:{port} = joe@example.org:{password} }} }}\n"
            f"smtp_sasl_tls_security_options = noanonymous\nsmtp_tls_CAfile = {postfix_server.authority.certificate}\n"
            "smtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = postfix.example.net\nsmtp_tls_loglevel = 1\n"
            f"smtp_tls_chain_files = {own.key}, {own.certificate}\nmynetworks = 127.0.0.1/32\n"
            f"smtpd_relay_restrictions = permit_mynetworks, reject\n{more}",
        )
        houses.append(house)
        house.start()
        return house

    houses: list[SubmissionHouse] = []
    yield made
    for house in houses:
        house.stop()


@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_posthouse_logs_in_to_postfix_under_starttls(postfix_server, client_house, mechanism):
    house = client_house(postfix_server.submission, more=f"smtp_sasl_mechanism_filter = {mechanism}\n")
    house.send("x@postfix.test", f"to Postfix with {mechanism}")
    assert "with ESMTPSA id" in postfix_server.arrived(f"to Postfix with {mechanism}")
    relay = f"127.0.0.1[127.0.0.1]:{postfix_server.submission}"
    until(lambda: f"Verified TLS connection established to {relay}: TLSv1.3" in house.log)
    until(lambda: f"sasl_method={mechanism.upper()}, sasl_username=joe@example.org" in postfix_server.log)
    until(lambda: "Trusted TLS connection established from localhost[127.0.0.1]" in postfix_server.log)
    assert SECRET not in house.log


def test_posthouse_logs_in_to_postfix_in_wrapper_mode(postfix_server, client_house):
    house = client_house(postfix_server.submissions, more="smtp_tls_wrappermode = yes\n")
    house.send("x@postfix.test", "to Postfix on 465")
    assert "with ESMTPSA id" in postfix_server.arrived("to Postfix on 465")


def test_a_password_that_postfix_refuses_makes_mail_wait(postfix_server, client_house):
    house = client_house(postfix_server.submission, password="a stale one")
    house.send("x@postfix.test", "stale")
    until(
        lambda: "status=deferred (SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8" in house.log
    )
    assert "a stale one" not in house.log


@pytest.fixture(scope="module")
def server_house(place):
    house = SubmissionHouse(place / "server-house")
    house.knows("joe@example.org")
    house.start()
    yield house
    house.stop()
    assert PASSWORD not in house.log


@pytest.fixture
def postfix_client(place, server_house):
    """A Postfix that sends everything to that house, with joe's password."""

    def made(port, mechanism, password=PASSWORD, more=""):
        postfix = RealPostfix(
            place / f"postfix-{next(NUMBERS)}",
            f"relayhost = [127.0.0.1]:{port}\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_mechanism_filter = {mechanism}\n"
            f"smtp_sasl_password_maps = inline:{{ {{ [127.0.0.1]:{port} = joe@example.org:{password} }} }}\n"
            f"smtp_sasl_security_options = noanonymous\nsmtp_tls_CAfile = {server_house.authority.certificate}\n"
            "smtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = mail.example.org\nsmtp_tls_loglevel = 1\n"
            + more,
        )
        started.append(postfix)
        postfix.start()
        return postfix

    started: list[RealPostfix] = []
    yield made
    for postfix in started:
        postfix.stop()


def send_by(postfix, subject):
    with smtplib.SMTP("127.0.0.1", postfix.port, "client.test", timeout=60) as client:
        client.sendmail("joe@example.org", "info@example.org", f"Subject: {subject}\r\n\r\ntext\r\n")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
def test_postfix_logs_in_to_posthouse_under_starttls(server_house, postfix_client, mechanism):
    postfix = postfix_client(server_house.submission, mechanism)
    send_by(postfix, f"from Postfix with {mechanism}")
    if mechanism == "SCRAM-SHA-256":
        until(lambda: "status=" in postfix.log)
        if "no mechanism available" in postfix.log:
            pytest.skip("needs libsasl2-modules with SCRAM")
    server_house.arrived(f"from Postfix with {mechanism}")
    relay = f"127.0.0.1[127.0.0.1]:{server_house.submission}"
    until(lambda: f"Verified TLS connection established to {relay}: TLSv1.3" in postfix.log)
    until(lambda: f"sasl_method={mechanism}, sasl_username=joe@example.org" in server_house.log)


def test_postfix_logs_in_to_posthouse_in_wrapper_mode(server_house, postfix_client):
    postfix = postfix_client(server_house.submissions, "PLAIN", more="smtp_tls_wrappermode = yes\n")
    send_by(postfix, "from Postfix on 465")
    server_house.arrived("from Postfix on 465")


def test_postfix_hears_that_a_password_is_wrong(server_house, postfix_client):
    postfix = postfix_client(server_house.submission, "PLAIN", password="a stale one")
    send_by(postfix, "stale")
    until(lambda: "said: 535 5.7.8 Error: authentication failed" in postfix.log)
    assert "a stale one" not in server_house.log
