from __future__ import annotations

import base64
import imaplib
import os
import re
import shutil
import smtplib
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

import certificates
from whole_house.dovecot_scene import EXAMPLES, Dovecot, House
from whole_house.house_scene import free_port, until
from whole_house.submission_scene import PASSWORD, NameServer, SubmissionHouse

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="Dovecot changes its user"),
    pytest.mark.skipif(not shutil.which("dovecot"), reason="needs dovecot-core, dovecot-imapd, dovecot-lmtpd"),
]


@pytest.fixture(scope="module")
def scene():
    place = Path(tempfile.mkdtemp(prefix="posthouse-dovecot-"))  # not in tmp_path, which pytest keeps closing to others
    place.chmod(0o755)
    authority = certificates.make(place, "ca", "the authority", authority=True)
    pair = certificates.make(place, "server", "mail.example.org", "localhost", issuer=authority)
    policy = free_port()
    main_cf = (EXAMPLES / "main.cf").read_text()
    for old, new in (
        ("/etc/ssl/private/mail.example.org.key", str(pair.key)),
        ("/etc/ssl/certs/mail.example.org.pem", str(pair.certificate)),
        ("/etc/postfix/", f"{place}/house/conf/"),
        ("inet:127.0.0.1:12340", f"inet:127.0.0.1:{policy}"),
    ):
        assert old in main_cf, old
        main_cf = main_cf.replace(old, new)
    house = House(place / "house", main_cf, (EXAMPLES / "master.cf").read_text())
    for name in ("mailboxes", "sender_logins"):
        shutil.copy(EXAMPLES / name, house.conf / name)
        assert house.command("postmap", f"hash:{house.conf / name}").returncode == 0
    house.start()
    dovecot = Dovecot(place / "dovecot", house.place / "queue", pair, policy)
    dovecot.start()
    house.authority, house.dovecot = authority, dovecot
    yield house
    dovecot.stop()
    house.stop()
    shutil.rmtree(place, ignore_errors=True)


def context(house):
    return ssl.create_default_context(cafile=str(house.authority.certificate))


def submitting(house, user="joe@example.org", password="secret"):
    client = smtplib.SMTP("localhost", house.submission, "laptop.test", timeout=30)
    try:
        client.starttls(context=context(house))
        client.login(user, password)
    except smtplib.SMTPException:
        client.close()
        raise
    return client


def mailbox(house, user="joe@example.org", password="secret"):
    box = imaplib.IMAP4("127.0.0.1", house.dovecot.imap)
    box.login(user, password)
    count = int(box.select("INBOX", readonly=True)[1][0])
    found = [box.fetch(str(number + 1), "(RFC822)")[1][0][1].decode() for number in range(count)]
    box.logout()
    return found


def test_what_is_submitted_on_587_is_read_over_imap(scene):
    with submitting(scene) as client:
        client.sendmail("joe@example.org", ["joe@example.org"], "Subject: to myself\r\n\r\ntext\r\n")
    until(lambda: any("Subject: to myself" in text for text in mailbox(scene)))
    text = next(text for text in mailbox(scene) if "to myself" in text)
    assert "Received: by mail.example.org (Postfix) id " in text
    assert "laptop.test" not in text  # smtpd_hide_client_session
    until(lambda: "sasl_method=PLAIN, sasl_username=joe@example.org" in scene.log)


def test_465_begins_with_tls(scene):
    with smtplib.SMTP_SSL("localhost", scene.submissions, timeout=30, context=context(scene)) as client:
        client.login("ann@example.org", "hidden")
        client.mail("joe@example.org")
        assert client.rcpt("joe@example.org")[0] == 553  # not ann's address
        client.rset()
        client.mail("info@example.org")
        assert client.rcpt("joe@example.org")[0] == 250


def test_a_wrong_password_is_refused_and_named_in_the_log(scene):
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submitting(scene, password="wrong")
    until(lambda: "SASL PLAIN authentication failed: (reason unavailable), sasl_username=joe@example.org" in scene.log)


def test_each_recipient_has_a_result_of_its_own_and_full_mailboxes_are_refused(scene):
    with scene.client() as client:
        client.mail("friend@sender.test")
        assert client.rcpt("nobody@example.org")[0] == 550
        assert client.rcpt("ann@example.org")[0] == 250
        assert client.data("Subject: big\r\n\r\n" + ("x" * 70 + "\r\n") * 130)[0] == 250
    until(lambda: len(mailbox(scene, "ann@example.org", "hidden")) == 1)
    with scene.client() as client:
        client.mail("friend@sender.test")
        assert client.rcpt("joe@example.org")[0] == 250
        client.rset()
        client.docmd("MAIL FROM:<friend@sender.test> SIZE=20000")
        assert client.docmd("RCPT TO:<ann@example.org>")[0] == 452


def test_a_restart_of_dovecot_is_survived(scene):
    scene.dovecot.restart()
    with submitting(scene) as client:
        client.sendmail("joe@example.org", ["joe@example.org"], "Subject: after the restart\r\n\r\ntext\r\n")
    until(lambda: any("after the restart" in text for text in mailbox(scene)))


@pytest.mark.parametrize("what", ["restart", "kill_auth"])
def test_a_dovecot_that_goes_away_in_the_middle_of_a_login_is_no_wrong_password(scene, what):
    secret = base64.b64encode(b"\0joe@example.org\0secret").decode()
    with smtplib.SMTP("localhost", scene.submission, "laptop.test", timeout=60) as client:
        client.starttls(context=context(scene))
        client.ehlo()
        assert client.docmd("AUTH", "PLAIN")[0] == 334
        getattr(scene.dovecot, what)()
        assert client.docmd(secret)[0] == 454
        assert client.docmd("AUTH", f"PLAIN {secret}")[0] == 235
        client.sendmail("joe@example.org", ["joe@example.org"], f"Subject: at the second go, {what}\r\n\r\ntext\r\n")

    def is_there():
        if not any(f"at the second go, {what}" in text for text in mailbox(scene)):
            scene.command("postqueue", "-f")  # Dovecot may have made it wait, while it recovered
            return False
        return True

    until(is_there)
    until(lambda: "SASL PLAIN authentication failed: Connection lost to authentication server" in scene.log)
    assert secret not in scene.log


def test_while_dovecot_is_away_logins_wait_and_the_same_session_goes_on_when_it_is_back(scene):
    secret = base64.b64encode(b"\0joe@example.org\0secret").decode()
    with smtplib.SMTP("localhost", scene.submission, "laptop.test", timeout=60) as client:
        client.starttls(context=context(scene))
        client.ehlo()
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
        scene.dovecot.stop()
        assert client.docmd("AUTH", f"PLAIN {secret}")[0] == 454
        client.ehlo()
        assert "auth" not in client.esmtp_features
        scene.dovecot.start()
        client.ehlo()
        assert client.docmd("AUTH", f"PLAIN {secret}")[0] == 235


def test_dovecot_is_asked_over_tcp_as_well(scene):
    main_cf = f"smtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:{scene.dovecot.auth}\n"
    house = SubmissionHouse(scene.place.parent / "over_tcp", main_cf)
    house.start()
    try:
        with submitting(house) as client:
            client.sendmail("joe@example.org", ["info@example.org"], "Subject: over tcp\r\n\r\ntext\r\n")
        house.arrived("over tcp")
        until(lambda: "sasl_method=PLAIN, sasl_username=joe@example.org" in house.log)
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            submitting(house, password="wrong")
        assert caught.value.smtp_code == 535
    finally:
        house.stop()


@pytest.mark.skipif(not shutil.which("swaks"), reason="needs swaks")
def test_swaks_logs_in_under_tls(scene):
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(scene.submission), "--tls", "--auth", "LOGIN",
         "--auth-user", "joe@example.org", "--auth-password", "secret", "--from", "joe@example.org",
         "--to", "joe@example.org", "--header", "Subject: by swaks"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    until(lambda: any("Subject: by swaks" in text for text in mailbox(scene)))


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_openssl_resumes_a_session(scene):
    place = scene.place / "session"
    words = ["openssl", "s_client", "-connect", f"127.0.0.1:{scene.submissions}", "-CAfile", str(scene.authority.certificate),
             "-verify_return_error", "-verify_hostname", "mail.example.org", "-ign_eof", "-crlf"]  # fmt: skip
    for option in ("-sess_out", "-sess_in"):
        done = subprocess.run(
            [*words, option, str(place)],
            input="EHLO x\nNOOP\nQUIT\n",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "Verification: OK" in done.stdout, done.stderr
    assert "Reused, TLSv1" in done.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl_sends(scene):
    done = subprocess.run(
        ["curl", "-sS", "--ssl-reqd", "--cacert", str(scene.authority.certificate), "--connect-to",
         f"mail.example.org:{scene.submission}:127.0.0.1:{scene.submission}", f"smtp://mail.example.org:{scene.submission}/laptop",
         "--mail-from", "joe@example.org", "--mail-rcpt", "joe@example.org", "--user", "joe@example.org:secret", "-T", "-"],
        input="Subject: by curl\r\n\r\ntext\r\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    until(lambda: any("Subject: by curl" in text for text in mailbox(scene)))


@pytest.fixture(scope="module")
def first_house(scene):
    """Another server, with logins of its own. It finds the scene's by its MX record, and sends under verified TLS alone."""
    place = scene.place.parent / "first"
    main_cf = f"""
myhostname = first.example.com
mydestination =
virtual_mailbox_domains =
smtp_tcp_port = {scene.port}
smtp_tls_CAfile = {scene.authority.certificate}
smtp_tls_security_level = may
smtp_tls_policy_maps = inline:{{ {{ example.org = secure match=nexthop:dot-nexthop }} }}
smtp_tls_loglevel = 1
"""
    house = SubmissionHouse(place, main_cf)
    house.knows("sue@example.com", scheme="ARGON2ID")
    records = ["--mx-host=example.org,mail.example.org,10", "--host-record=mail.example.org,127.0.0.1",
               "--mx-host=impostor.test,mail.impostor.test,10", "--host-record=mail.impostor.test,127.0.0.1"]  # fmt: skip
    with NameServer(place, *records) as names:
        if subprocess.run([*names.prefix, "true"], check=False, capture_output=True).returncode:
            pytest.skip("no mount name spaces here")
        house.prefix = names.prefix
        house.start()
        yield house
        house.stop()


def swaks(house, recipient, subject):
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(house.submission), "--tls", "--auth", "PLAIN",
         "--auth-user", "sue@example.com", "--auth-password", PASSWORD, "--from", "sue@example.com",
         "--to", recipient, "--header", f"Subject: {subject}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not shutil.which("swaks"), reason="needs swaks")
@pytest.mark.skipif(not shutil.which("dnsmasq"), reason="needs dnsmasq")
def test_from_a_login_on_one_server_by_mx_and_verified_tls_to_imap_on_another(scene, first_house):
    swaks(first_house, "joe@example.org", "over two servers")
    until(lambda: any("Subject: over two servers" in text for text in mailbox(scene)))
    until(lambda: "relay=mail.example.org[127.0.0.1]" in first_house.log)
    until(
        lambda: f"Verified TLS connection established to mail.example.org[127.0.0.1]:{scene.port}:" in first_house.log
    )
    until(lambda: "status=sent (250 2.0.0 <joe@example.org>" in scene.log)
    assert PASSWORD not in first_house.log


@pytest.mark.skipif(not shutil.which("swaks"), reason="needs swaks")
@pytest.mark.skipif(not shutil.which("dnsmasq"), reason="needs dnsmasq")
def test_mail_that_must_be_verified_does_not_go_to_whoever_the_dns_names(scene, first_house):
    text = (first_house.conf / "main.cf").read_text()
    policy = "smtp_tls_policy_maps = inline:{ { impostor.test = verify } }\n"
    (first_house.conf / "main.cf").write_text(re.sub(r"^smtp_tls_policy_maps = .*\n", policy, text, flags=re.MULTILINE))
    assert first_house.command("postfix", "reload").returncode == 0
    swaks(first_house, "joe@impostor.test", "not for you")
    until(lambda: "status=deferred (Server certificate not verified)" in first_house.log)
    assert first_house.command("mailq").stdout.count("joe@impostor.test") == 1


@pytest.mark.skipif(not shutil.which("posttls-finger"), reason="needs Postfix")
def test_postfix_itself_verifies_us(scene):
    done = subprocess.run(
        ["posttls-finger", "-c", "-l", "secure", "-F", str(scene.authority.certificate), "-L", "summary",
         f"[127.0.0.1]:{scene.port}", "mail.example.org"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (
        f"Verified TLS connection established to 127.0.0.1[127.0.0.1]:{scene.port}: TLSv1.3"
        in done.stdout + done.stderr
    )
