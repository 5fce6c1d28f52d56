"""Sending mail as people do: on 587 and 465, with a login, by the programs they use."""

from __future__ import annotations

import re
import shutil
import smtplib
import ssl
import tempfile
from pathlib import Path

import pytest

import certificates
from whole_house.house_scene import until
from whole_house.submission_scene import PASSWORD, SubmissionHouse, run


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"needs {program}")


@pytest.fixture(scope="module")
def house():
    place = Path(tempfile.mkdtemp(prefix="posthouse-submission-"))
    place.chmod(0o755)
    client = certificates.make(place, "client", "laptop.test")
    house = SubmissionHouse(
        place / "house",
        f"smtpd_tls_ask_ccert = no\nrelay_clientcerts = inline:{{ {{ {client.fingerprint()} = laptop }} }}\n"
        "smtpd_tls_fingerprint_digest = sha256\n",
    )
    house.certified = client
    text = house.master_cf.replace(
        "-o smtpd_tls_wrappermode=yes", "-o smtpd_tls_wrappermode=yes\n  -o smtpd_tls_ask_ccert=yes"
    )
    (house.conf / "master.cf").write_text(text)
    house.knows("joe@example.org")
    house.start()
    yield house
    house.stop()
    assert PASSWORD not in house.log
    shutil.rmtree(place, ignore_errors=True)


def login_of(house, subject):
    """What the log says of the login with which the message was sent."""
    queue_id = re.search(
        r"^Received: by mail\.example\.com \(Postfix\) id (\w+)", house.arrived(subject), re.MULTILINE
    )[1]
    until(lambda: f"{queue_id}: client=" in house.log)
    return re.search(rf"{queue_id}: client=(.*)", house.log)[1]


@needs("swaks")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("port", ["submission", "submissions"])
def test_swaks(house, port, mechanism):
    subject = f"by swaks with {mechanism} on {port}"
    done = run(
        "swaks", "--server", "127.0.0.1", "--port", getattr(house, port), "--tls" if port == "submission" else "--tlsc",
        "--tls-verify", "--tls-ca-path", house.authority.certificate, "--tls-sni", "mail.example.org",
        "--auth", mechanism, "--auth-user", "joe@example.org", "--auth-password", PASSWORD,
        "--from", "joe@example.org", "--to", "info@example.org", "--header", f"Subject: {subject}",
    )  # fmt: skip
    if "TLS unavailable" in done.stderr + done.stdout:
        pytest.skip("swaks has no TLS here (libnet-ssleay-perl)")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"sasl_method={mechanism}, sasl_username=joe@example.org" in login_of(house, subject)


@needs("swaks")
def test_swaks_hears_that_a_password_is_wrong(house):
    words = [
        "swaks",
        "--server",
        "127.0.0.1",
        "--port",
        house.submission,
        "--tls",
        "--auth",
        "PLAIN",
        "--to",
        "info@example.org",
    ]
    done = run(*words, "--auth-user", "joe@example.org", "--auth-password", "wrong")
    assert done.returncode == 28, done.stdout
    assert "535 5.7.8 Error: authentication failed" in done.stdout


@needs("swaks")
def test_a_login_is_neither_offered_nor_taken_without_tls(house):
    words = [
        "swaks",
        "--server",
        "127.0.0.1",
        "--port",
        house.submission,
        "--auth",
        "PLAIN",
        "--to",
        "info@example.org",
    ]
    done = run(*words, "--auth-user", "joe@example.org", "--auth-password", PASSWORD)
    assert done.returncode == 28, done.stdout
    assert "250-AUTH" not in done.stdout
    with smtplib.SMTP("127.0.0.1", house.submission, timeout=30) as client:
        client.ehlo()
        assert client.docmd("AUTH", "PLAIN AGpvZQBzZWNyZXQ=") == (530, b"5.7.0 Must issue a STARTTLS command first")


@needs("curl")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_curl(house, scheme, mechanism):
    subject = f"by curl with {mechanism} over {scheme}"
    port = house.submission if scheme == "smtp" else house.submissions
    done = run(
        "curl", "-sS", "--ssl-reqd", "--cacert", house.authority.certificate, "--login-options", f"AUTH={mechanism}",
        "--connect-to", f"mail.example.org:{port}:127.0.0.1:{port}", f"{scheme}://mail.example.org:{port}/laptop",
        "--mail-from", "joe@example.org", "--mail-rcpt", "info@example.org", "--user", "joe@example.org:" + PASSWORD, "-T", "-",
        stdin=f"Subject: {subject}\r\n\r\ntext\r\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"sasl_method={mechanism}, sasl_username=joe@example.org" in login_of(house, subject)


@needs("curl")
def test_curl_will_not_have_a_certificate_for_another_name(house):
    done = run(
        "curl", "-sS", "--ssl-reqd", "--cacert", house.authority.certificate,
        "--connect-to", f"other.test:1:127.0.0.1:{house.submissions}", "smtps://other.test:1/laptop",
        "--mail-from", "joe@example.org", "--mail-rcpt", "info@example.org", "-T", "-", stdin="x",
    )  # fmt: skip
    assert done.returncode == 60, done.stderr


@needs("msmtp")
@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
@pytest.mark.parametrize("starttls", ["on", "off"])
def test_msmtp(house, tmp_path, starttls, mechanism):
    subject = f"by msmtp with {mechanism}, tls_starttls {starttls}"
    conf = tmp_path / "msmtprc"
    conf.write_text(
        f"account default\nhost localhost\nport {house.submission if starttls == 'on' else house.submissions}\n"
        f"tls on\ntls_starttls {starttls}\ntls_trust_file {house.authority.certificate}\nauth {mechanism}\n"
        f"user joe@example.org\npassword {PASSWORD}\nfrom joe@example.org\n"
    )
    conf.chmod(0o600)
    done = run("msmtp", "-C", conf, "info@example.org", stdin=f"Subject: {subject}\n\ntext\n")
    assert done.returncode == 0, done.stderr
    assert f"sasl_method={mechanism.upper()}, sasl_username=joe@example.org" in login_of(house, subject)


@pytest.mark.parametrize("port", ["submission", "submissions"])
def test_pythons_smtplib(house, port):
    context = ssl.create_default_context(cafile=str(house.authority.certificate))
    subject = f"by smtplib on {port}"
    if port == "submission":
        client = smtplib.SMTP("localhost", house.submission, timeout=30)
        client.starttls(context=context)
    else:
        client = smtplib.SMTP_SSL("localhost", house.submissions, timeout=30, context=context)
    with client:
        client.login("joe@example.org", PASSWORD)
        client.sendmail("joe@example.org", "info@example.org", f"Subject: {subject}\r\n\r\ntext\r\n")
    assert "sasl_username=joe@example.org" in login_of(house, subject)
    assert "localhost" not in house.arrived(subject)  # smtpd_hide_client_session


def session(house, port, *options, words="QUIT\r\n"):
    """A dialogue by openssl s_client; words are sent when the handshake is done."""
    return run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", house.authority.certificate, "-ign_eof",
        "-verify_return_error", "-verify_hostname", "mail.example.org", *options, stdin=words,
    )  # fmt: skip


@needs("openssl")
def test_openssl_verifies_us_after_starttls_and_in_wrapper_mode(house):
    for port, options in ((house.submission, ["-starttls", "smtp"]), (house.submissions, [])):
        done = session(house, port, *options)
        assert "Verification: OK" in done.stdout, done.stdout + done.stderr
        assert "221 2.0.0 Bye" in done.stdout


@needs("openssl")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_resumes_a_session_by_its_ticket(house, tmp_path, version):
    options = ["-starttls", "smtp", version]
    # Under TLS 1.3 the ticket comes behind the handshake: it is there once the server has said something.
    first = session(house, house.submission, *options, "-sess_out", tmp_path / "ticket", words="EHLO x\r\nQUIT\r\n")
    assert "New, TLSv1" in first.stdout, first.stderr
    second = session(house, house.submission, *options, "-sess_in", tmp_path / "ticket", words="EHLO x\r\nQUIT\r\n")
    assert "Reused, TLSv1" in second.stdout, second.stderr


@needs("openssl")
def test_a_certificate_may_stand_in_for_a_login(house):
    words = "EHLO laptop.test\r\nMAIL FROM:<joe@example.org>\r\nRCPT TO:<x@elsewhere.test>\r\nQUIT\r\n"
    mine = ["-cert", house.certified.certificate, "-key", house.certified.key]
    assert "250 2.1.5 Ok" in session(house, house.submissions, *mine, words=words).stdout
    assert "554 5.7.1" in session(house, house.submissions, words=words).stdout


@needs("posttls-finger")
@pytest.mark.parametrize("level", ["verify", "secure", "fingerprint"])
def test_postfixs_posttls_finger_verifies_us(house, level):
    what = [house.pair.fingerprint()] if level == "fingerprint" else ["mail.example.org"]
    ours = [] if level == "fingerprint" else ["-F", house.authority.certificate]
    words = ["posttls-finger", "-c", "-l", level, "-d", "sha256", *ours, "-L", "summary"]
    done = run(*words, f"[127.0.0.1]:{house.submission}", *what)
    assert f"Verified TLS connection established to 127.0.0.1[127.0.0.1]:{house.submission}: TLSv1.3" in (
        done.stdout + done.stderr
    )
    done = run(*words, "-w", f"[127.0.0.1]:{house.submissions}", *what)
    assert "Verified TLS connection established" in done.stdout + done.stderr


def test_after_all_that_the_queue_is_empty_but_for_nobodys_mail(house):
    assert house.command("mailq").stdout.startswith("Mail queue is empty")
