"""People who have logged in: whose addresses they use, how much they send, and what the log must never say."""

from __future__ import annotations

import json
import smtplib

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
    assert house.command("postsuper", "-H", queue_id).returncode == 0
    house.command("postqueue", "-f")
    until(lambda: arrived(house, "doubtful"))


def test_a_login_that_sends_too_much_is_stopped_without_a_bounce(house):
    configured(
        house, "posthouse_sasl_login_message_rate_limit = 2", "anvil_rate_time_unit = 300s", "posthouse_workers = 1"
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
    assert house.command("postsuper", "-H", queue_id).returncode == 0
    house.command("postqueue", "-f")
    until(lambda: arrived(house, "mail 2"))
    assert on_hold(house) == []
