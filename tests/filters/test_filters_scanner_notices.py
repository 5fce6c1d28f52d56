"""The mail that tells an administrator, and what stands before mail that is kept; both hold what strangers wrote."""

from __future__ import annotations

import email
from email import policy

from filters.test_filters_scanner_judge import decide
from posthouse.filters.scanner.judge import Findings, Kind
from posthouse.filters.scanner.notices import Letter, Subject, admin_notice, quarantine_head
from posthouse.filters.scanner.tagging import Additions
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Origin, Recipient
from posthouse.maillog import amavis

LETTER = Letter("scan@mx.test", "admin@example.org", "Mon, 1 Jun 2026 10:00:00 +0000", "mx.test", "ID")


def envelope(sender="friend@sender.test"):
    return Envelope(sender, (Recipient("info@example.org"),), origin=Origin("spike.test", "192.0.2.7", "99"))


def notice(findings, sender="friend@sender.test", header=b"Subject: hi\n"):
    decisions = (decide(findings, sender=sender),)
    about = Subject(envelope(sender), Content(header, b"\n"), decisions, findings, "1-2/ID", "virus-ID")
    made = admin_notice(about, decisions[0].kind, LETTER)
    return email.message_from_bytes(made.header + made.body, policy=policy.default)


def test_the_notice_says_what_who_to_whom_and_where_it_is_kept():
    mail = notice(Findings(virus="Eicar"))
    assert mail["Subject"] == "VIRUS (Eicar) in mail FROM [192.0.2.7]:99 <friend@sender.test>"
    assert (mail["To"], mail["From"]) == ("admin@example.org", '"Content-filter at mx.test" <scan@mx.test>')
    text, original = (part.get_content() for part in mail.iter_parts())
    for words in (
        "A virus was found: Eicar",
        "quarantined as: virus-ID",
        "WAS NOT relayed to:\n<info@example.org>",
        "1-2/ID",
    ):
        assert words in text
    assert original == "Subject: hi\n\n" or "Subject: hi" in str(original)


def test_what_strangers_wrote_adds_no_field():
    mail = notice(Findings(virus="A\nBcc: all@example.org"), sender="x\r\nBcc: y@z")
    assert mail["Bcc"] is None
    assert mail["Subject"].count("Bcc") == 2


def test_a_header_of_a_megabyte_is_cut_in_the_notice():
    mail = notice(Findings(virus="A"), header=b"X: " + b"y" * 1_000_000 + b"\n")
    assert len(mail.as_bytes()) < 40_000


def test_the_head_of_what_is_kept():
    decisions = (decide(Findings(virus="V")), decide(loves=frozenset([Kind.SPAM])))
    head = quarantine_head(envelope(), decisions, Additions((("X-Quarantine-ID", "<ID>"), ("X-Spam-Level", ""))))
    assert head == (
        b"Return-Path: <friend@sender.test>\nX-Envelope-From: <friend@sender.test>\n"
        b"X-Envelope-To: <info@example.org>,\n\t<info@example.org>\nX-Envelope-To-Blocked: <info@example.org>\n"
        b"X-Quarantine-ID: <ID>\nX-Spam-Level:\n"
    )


def test_a_log_line_is_one_line_however_many_recipients_and_whatever_they_are_called():
    line = amavis.result(
        amavis.Scanned(
            "1-2", False, "INFECTED (a\nb)", ["DiscardedInbound"], "", "", "a\tb", [f"r{n}@\n" for n in range(100)], "Q",
            "<\x00>", "ID", 7.5, 10, "", "virus-ID", 3,
        )
    )  # fmt: skip
    assert line.isprintable()
    assert line.startswith("(1-2) Blocked INFECTED (a?b) {DiscardedInbound}, <a?b> -> <r0@?>,<r1@?>,")
    assert line.endswith(
        ",<r49@?>,..., quarantine: virus-ID, Queue-ID: Q, Message-ID: <?>, mail_id: ID, Hits: 7.5, size: 10, 3 ms"
    )
