"""A main.cf from before compatibility levels: the log tells where a default of old decided (COMPATIBILITY_README)."""

from __future__ import annotations

import re

from whole_house.house_scene import until

OLD = """
smtpd_recipient_restrictions = check_recipient_access inline:{bad@example.net=reject}, permit_mynetworks,
    reject_unauth_destination
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
mydestination = example.net
mydomain = example.com
local_recipient_maps =
"""
SETTING = "using backwards-compatible default setting"


def told(house):
    return set(re.findall(rf"\]: {SETTING} (.*)", house.log))


def test_the_log_says_which_old_defaults_count(closed_house):
    main_cf = closed_house.conf / "main.cf"
    main_cf.write_text(main_cf.read_text().replace("compatibility_level = 3.6\n", "") + OLD)
    closed_house.start()
    with closed_house.client() as client:
        client.ehlo()
        client.mail("friend@sender.test")
        for recipient in ("bad@example.net", "info@sub.example.net", "info@host"):
            client.rcpt(recipient)
        client.docmd("RSET")
        client.docmd("ETRN", "sub.example.net")
        client.sock.sendall("MAIL FROM:<j\u00f6rg@sender.test>\r\n".encode())
        assert client.getreply()[0] == 250
    until(lambda: "non-ASCII" in closed_house.log)
    client_shown = re.search(r"connect from (\S+)", closed_house.log)[1]
    assert told(closed_house) == {
        f'smtpd_relay_before_recipient_restrictions=no to reject recipient "bad@example.net" from client "{client_shown}"',
        'relay_domains=$mydestination to accept mail for domain "sub.example.net"',
        'relay_domains=$mydestination to accept mail for address "info@sub.example.net"',
        'relay_domains=$mydestination to flush mail for domain "sub.example.net"',
        'append_dot_mydomain=yes to rewrite "host" to "host.example.com"',
        f'smtputf8_enable=no to accept non-ASCII sender address "j??rg@sender.test" from {client_shown}',
        f'smtpd_relay_before_recipient_restrictions=no to reject recipient "info@host" from client "{client_shown}"',
    }


def test_nothing_is_said_at_the_present_level(closed_house):
    main_cf = closed_house.conf / "main.cf"
    main_cf.write_text(main_cf.read_text() + OLD)
    closed_house.start()
    with closed_house.client() as client:
        client.ehlo()
        client.mail("friend@sender.test")
        assert client.rcpt("bad@example.net")[0] == 554
        assert client.rcpt("info@host")[0] == 554
    assert not told(closed_house)
