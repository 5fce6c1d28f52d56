"""Mail goes through a whole server."""

from __future__ import annotations

import smtplib

import pytest

from whole_house.house_scene import until


def test_mail_by_smtp_lands_in_a_maildir(house):
    house.send("info@example.org", "for info")
    until(lambda: house.maildir("info"))
    (message,) = house.maildir("info")
    assert message.startswith(
        "Return-Path: <friend@sender.test>\nX-Original-To: info@example.org\nDelivered-To: info@example.org\nReceived: from client.example.net"
    )
    assert "Subject: for info\n" in message
    until(lambda: "removed" in house.log)


def test_mail_lands_in_an_mbox_file(house):
    house.send("sales@example.org")
    until((house.mail / "sales").exists)
    until(lambda: "removed" in house.log)
    assert (house.mail / "sales").read_text().startswith("From friend@sender.test ")


def test_an_unknown_user_is_refused_and_no_relay_is_open(house):
    with house.client() as client:
        client.ehlo()
        client.mail("friend@sender.test")
        assert client.rcpt("nobody@example.org")[0] == 550
        assert client.rcpt("victim@elsewhere.test")[0] == 454


def test_sendmail_works_while_the_house_is_closed(closed_house):
    closed_house.start()
    closed_house.stop()
    done = closed_house.command("sendmail", "info@example.org", stdin="Subject: early\n\ntext\n")
    assert (done.returncode, done.stderr) == (0, "")
    closed_house.start()
    until(lambda: closed_house.maildir("info"))
    assert "Subject: early\n" in closed_house.maildir("info")[0]
    assert "(Postfix, from userid " in closed_house.maildir("info")[0]


def test_sendmail_wakes_pickup(house):
    house.command("sendmail", "-i", "-t", stdin="To: info@example.org\nSubject: now\n\na\n.\nb\n")
    until(lambda: house.maildir("info"), 5)
    assert house.maildir("info")[0].endswith("\n\na\n.\nb\n")


def test_sendmail_speaks_smtp_on_standard_input(house):
    script = (
        "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<info@example.org>\r\nDATA\r\nSubject: s\r\n\r\n..x\r\n.\r\nQUIT\r\n"
    )
    done = house.command("sendmail", "-bs", stdin=script)
    assert done.stdout.splitlines()[-2].startswith("250 2.0.0 Ok: queued as ")
    until(lambda: house.maildir("info"))
    assert house.maildir("info")[0].endswith("\n\n.x\n")


def test_sendmail_takes_chunks_and_large_mail_on_standard_input(house):
    text = "0123456789" * 200_000
    content = f"Subject: chunks\r\n\r\n{text}\r\n"
    script = f"EHLO x\nMAIL FROM:<a@b.test>\nRCPT TO:<info@example.org>\nBDAT {len(content)} LAST\n{content}QUIT\n"
    done = house.command("sendmail", "-bs", stdin=script)
    assert "250 CHUNKING" in done.stdout
    assert done.stdout.splitlines()[-2].startswith(f"250 2.0.0 Ok: {len(content)} bytes queued as ")
    until(lambda: house.maildir("info"))
    mail = house.maildir("info")[0]
    assert mail.endswith(f"\n\n{text}\n")
    assert "\nReceived: from x (localhost [127.0.0.1])\n\tby mail.example.com (Postfix) with ESMTP id " in mail


def test_a_dialogue_on_standard_input_ends_with_its_input(house):
    done = house.command(
        "sendmail", "-bs", stdin="EHLO x\nETRN example.org\nMAIL FROM:<a@b.test>\nRCPT TO:<info@example"
    )
    assert done.returncode == 0
    assert [line[:3] for line in done.stdout.splitlines() if line[3] == " "] == ["220", "250", "458", "250"]


@pytest.mark.parametrize("size", [100, 4096, 100_000, 3_000_000])
def test_content_arrives_as_it_was_sent(house, size):
    text = ("0123456789" * 7 + "\r\n") * (size // 72 + 1)
    house.send("info@example.org", text=text)
    until(lambda: house.maildir("info"))
    assert house.maildir("info")[0].partition("\n\n")[2] == text.replace("\r\n", "\n")


def test_a_message_above_the_limit_is_refused(house):
    with house.client() as client, pytest.raises(smtplib.SMTPException):
        client.sendmail("a@b.test", "info@example.org", "Subject: big\r\n\r\n" + ("x" * 998 + "\r\n") * 11_000)
