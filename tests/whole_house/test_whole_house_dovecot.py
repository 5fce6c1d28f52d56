from __future__ import annotations

import imaplib
import os
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import certificates
from whole_house.dovecot_scene import EXAMPLES, Dovecot, House
from whole_house.house_scene import free_port, until

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
    assert "sasl_method=PLAIN, sasl_username=joe@example.org" in scene.log


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


@pytest.fixture
def first_house(scene):
    """Another server, with logins of its own, which sends everything on to the scene's under verified TLS."""
    place = scene.place.parent
    pair = certificates.make(place, "first", "first.example.com", "localhost", issuer=scene.authority)
    next_hop = f"[127.0.0.1]:{scene.port}"
    main_cf = f"""
compatibility_level = 3.6
myhostname = first.example.com
mydestination =
smtpd_sasl_type = posthouse
smtpd_tls_chain_files = {pair.key} {pair.certificate}
relayhost = {next_hop}
smtp_tls_CAfile = {scene.authority.certificate}
smtp_tls_policy_maps = inline:{{ {{ {next_hop} = secure match=mail.example.org }} }}
smtp_tls_loglevel = 1
mua_client_restrictions = permit_sasl_authenticated, reject
mua_helo_restrictions =
mua_sender_restrictions =
"""
    house = House(place / "first", main_cf, (EXAMPLES / "master.cf").read_text())
    yield house
    house.stop()


@pytest.mark.skipif(not shutil.which("swaks"), reason="needs swaks")
def test_from_a_login_on_one_server_over_verified_tls_to_imap_on_another(scene, first_house):
    words = [
        sys.executable,
        "-m",
        "posthouse.commands.posthouse",
        "passwd",
        "-c",
        str(first_house.conf),
        "add",
        "sue@example.com",
    ]
    subprocess.run(words, input="a pass phrase\n", text=True, timeout=30, check=True)
    first_house.start()
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(first_house.submission), "--tls", "--auth", "PLAIN",
         "--auth-user", "sue@example.com", "--auth-password", "a pass phrase", "--from", "sue@example.com",
         "--to", "joe@example.org", "--header", "Subject: over two servers"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    until(lambda: any("Subject: over two servers" in text for text in mailbox(scene)))
    assert "Verified TLS connection established to 127.0.0.1[127.0.0.1]:" in first_house.log
    assert "a pass phrase" not in first_house.log


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
