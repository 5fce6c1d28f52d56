"""People who have logged in: whose addresses they use, how much they send, and what the log must never say."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import smtplib
import socket
import threading

import pytest

from posthouse.sasl.password_hash import hash_password
from whole_house.house_scene import until

SECRET = "correct horse battery"
MAIN_CF = """
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = posthouse
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sender_login_maps = inline:{ {info@example.org = info@example.org} {sales@example.org = sales@example.org} }
"""


@pytest.fixture
def house(closed_house):
    with open(closed_house.conf / "main.cf", "a") as file:
        file.write(MAIN_CF)
    stored = hash_password(SECRET, "SHA512-CRYPT")
    logins = ("info@example.org", "sales@example.org")
    (closed_house.conf / "smtpd_passwords").write_text("".join(f"{login}:{stored}\n" for login in logins))
    return closed_house


def configured(house, *lines):
    with open(house.conf / "main.cf", "a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    house.start()


def submit(house, subject, header_from="info@example.org", login="info@example.org", to="sales@example.org"):
    with house.client() as client:
        client.login(login, SECRET)
        client.sendmail(login, to.split(), f"From: {header_from}\r\nSubject: {subject}\r\n\r\ntext\r\n")


def on_hold(house):
    rows = [json.loads(line) for line in house.command("postqueue", "-j").stdout.splitlines()]
    return [row["queue_id"] for row in rows if row["queue_name"] == "hold"]


def release(house, queue_id):
    """As root by postsuper, which is for root alone."""
    if os.getuid():
        done = house.command("posthouse_queue", "release", "--yes", queue_id)
    else:
        done = house.command("postsuper", "-H", queue_id)
    assert done.returncode == 0, done.stderr
    house.command("postqueue", "-f")


def arrived(house, subject):
    mailbox = house.mail / "sales"
    return mailbox.exists() and f"Subject: {subject}\n" in mailbox.read_text()


def test_a_login_cannot_write_in_the_name_of_another(house):
    configured(house, "smtpd_end_of_data_restrictions = reject_header_sender_login_mismatch")
    with pytest.raises(smtplib.SMTPDataError) as refused:
        submit(house, "false", "Sales <sales@example.org>")
    assert refused.value.smtp_code == 550
    assert b"<sales@example.org>: Header From rejected: not owned by user info@example.org" in refused.value.smtp_error
    submit(house, "true", "Info <info@example.org>")
    until(lambda: arrived(house, "true"))
    house.send("sales@example.org", "from outside")  # nobody has logged in: not our question
    until(lambda: arrived(house, "from outside"))
    assert not arrived(house, "false")
    assert "reject: END-OF-MESSAGE from " in house.log


def test_or_such_mail_is_held_until_somebody_has_looked_at_it(house):
    configured(house, "smtpd_end_of_data_restrictions = hold_header_sender_login_mismatch")
    submit(house, "doubtful", "sales@example.org")
    until(lambda: len(on_hold(house)) == 1)
    (queue_id,) = on_hold(house)
    assert f"{queue_id}: hold: END-OF-MESSAGE from " in house.log
    assert "<sales@example.org>: Header From not owned by user info@example.org" in house.log
    release(house, queue_id)
    until(lambda: arrived(house, "doubtful"))


def test_a_login_that_sends_too_much_is_stopped_without_a_bounce(house):
    configured(
        house, "posthouse_sasl_login_message_rate_limit = 2", "anvil_rate_time_unit = 300s", "posthouse_workers = 2"
    )
    for number in range(3):
        submit(house, f"mail {number}")
    submit(house, "of another", login="sales@example.org", header_from="sales@example.org")
    until(lambda: arrived(house, "of another") and arrived(house, "mail 0") and arrived(house, "mail 1"))
    (queue_id,) = on_hold(house)
    assert not arrived(house, "mail 2")
    text = "<info@example.org>: SASL login name exceeds its message rate limit: 3/300s"
    assert f"{queue_id}: hold: END-OF-MESSAGE from " in house.log
    assert text in house.log
    release(house, queue_id)
    until(lambda: arrived(house, "mail 2"))
    assert on_hold(house) == []


class Parrot(threading.Thread):
    """A server that refuses logins, and repeats what it was shown."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard = self.listener.getsockname()[1], []

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, connection.makefile("rb") as lines:
                    connection.sendall(b"220 parrot ESMTP\r\n")
                    for line in lines:
                        self.heard.append(line)
                        text = (
                            b"535 5.7.8 not so: " + line
                            if line.startswith(b"AUTH")
                            else b"250-parrot\r\n250 AUTH PLAIN\r\n"
                        )
                        connection.sendall(text)


SOURCES = (f"127.0.0.{number}" for number in range(10, 99))  # who fails often is answered late


def raw_session(house, *lines):
    """Commands one by one, whatever is answered."""
    with socket.create_connection(("127.0.0.1", house.port), 20, (next(SOURCES), 0)) as connection:
        connection.settimeout(20)
        with connection.makefile("rb") as replies:
            replies.readline()
            for line in ("EHLO client.example.net", *lines):
                connection.sendall(line.encode() + b"\r\n")
                while (reply := replies.readline())[3:4] == b"-":
                    pass
                assert reply, line


def encoded(*words):
    return base64.b64encode("\0".join(words).encode()).decode()


def test_no_password_is_ever_in_the_log_or_in_mail_to_postmaster(house):
    parrot = Parrot()
    parrot.start()
    wrong, upstream = "a wrong pass phrase", "the relay's pass phrase"
    (house.conf / "relay_passwords").write_text(f"127.0.0.1 relayed:{upstream}\n")
    text = (house.conf / "master.cf").read_text()
    (house.conf / "master.cf").write_text(re.sub(r"(?m)^(\S+\s+inet\s.*smtpd)$", r"\1 -v -v", text))
    assert "smtpd -v -v" in (house.conf / "master.cf").read_text()
    configured(
        house,
        "debug_peer_list = 127.0.0.0/8", "debug_peer_level = 9", "smtp_tls_loglevel = 4", "smtpd_tls_loglevel = 4",
        "notify_classes = protocol, policy, resource, software, bounce, delay, data", "smtpd_hard_error_limit = 100",
        "mydestination =", "error_notice_recipient = sales@example.org", "smtpd_error_sleep_time = 0",
        f"relayhost = [127.0.0.1]:{parrot.port}", "smtp_sasl_auth_enable = yes",
        f"smtp_sasl_password_maps = texthash:{house.conf}/relay_passwords", "smtp_sasl_security_options = noanonymous",
    )  # fmt: skip
    login = "info@example.org"
    raw_session(house, f"AUTH PLAIN {encoded('', login, wrong)}", f"AUTH PLAIN {encoded('', login, wrong)}**", "QUIT")
    raw_session(house, f"auth plain {encoded('', login, SECRET)} extra", "AUTH LOGIN", encoded(login), encoded(wrong))
    raw_session(house, "AUTH PLAIN", encoded("", login, SECRET) + "=", f"AUTH GSSAPI {encoded('', login, SECRET)}")
    raw_session(
        house, f"AUTH PLAIN {encoded('', login, SECRET)}{'A' * 3000}", f"AUTH\tPLAIN\t{encoded('', login, wrong)}"
    )
    raw_session(house, "AUTH LOGIN", encoded(login), "*", f"AUTH PLAIN {encoded('', login, SECRET)}", "QUIT")
    with socket.create_connection(("127.0.0.1", house.port), 20) as connection:  # ahead of their time
        words = (
            "EHLO x",
            "AUTH LOGIN",
            encoded(login),
            encoded(wrong),
            f"AUTH PLAIN {encoded('', login, SECRET)}",
            "QUIT",
        )
        connection.sendall("".join(f"{word}\r\n" for word in words).encode())
        while connection.recv(4096):
            pass
    submit(house, "passed on", to="friend@elsewhere.test")
    until(lambda: "SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8 not so" in house.log)
    until(lambda: "auth=1/" in house.log and "Transcript" in everything(house))
    shown = everything(house)
    assert encoded("", "relayed", upstream).encode() in b"".join(parrot.heard)
    for password in (SECRET, wrong, upstream):
        for secret in (password, encoded(password), encoded("", login, password), encoded("", "relayed", password)):
            assert secret not in shown
            assert secret.rstrip("=")[:-2] not in shown
    parrot.listener.close()


def everything(house):
    """The log, the mailboxes, and what the commands say of the queue."""
    mailbox = house.mail / "sales"
    queue = house.command("postqueue", "-p").stdout + house.command("postqueue", "-j").stdout
    return house.log + queue + (mailbox.read_text() if mailbox.exists() else "")
