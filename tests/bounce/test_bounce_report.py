"""Reports: the words for people, the fields for programs, the templates."""

from __future__ import annotations

import email

import pytest

from posthouse.bounce.report import Entry, Origin, Returned, body, notice_line, status_fields, wrap
from posthouse.bounce.templates import BUILT_IN, parse_templates
from posthouse.errors import ConfigError
from posthouse.mail.envelope import Recipient
from posthouse.mail.outcome import Bounced, Sent
from posthouse.mail.status import Status

GONE = Bounced(
    Status(
        "5.1.1",
        550,
        "host mail.remote.test[198.51.100.25] said: 550 5.1.1 <gone@remote.test> is gone (in reply to RCPT TO command)",
    ),
    "mail.remote.test[198.51.100.25]:25",
    "mail.remote.test",
    "smtp; 550 5.1.1 <gone@remote.test> is gone",
)


def test_lines_are_wrapped_at_79_columns_and_indented():
    assert notice_line(Entry(Recipient("gone@remote.test"), GONE, "failed")) == (
        "<gone@remote.test>: host mail.remote.test[198.51.100.25] said: 550 5.1.1\n"
        "    <gone@remote.test> is gone (in reply to RCPT TO command)"
    )
    assert wrap("x" * 100) == "x" * 100


def test_an_alias_is_named_beside_the_address():
    line = notice_line(Entry(Recipient("a@b.test", original="info@b.test"), GONE, "failed"))
    assert line.startswith("<a@b.test> (expanded from <info@b.test>): host")


def test_control_characters_of_a_server_do_not_reach_the_reader():
    outcome = Bounced(Status("5.0.0", 550, "bad\x1b[31m\x07 text"))
    assert notice_line(Entry(Recipient("a@b.test"), outcome, "failed")) == "<a@b.test>: bad?[31m? text"


def test_the_fields_for_programs_name_server_and_answer():
    assert status_fields(
        Entry(Recipient("gone@remote.test", orcpt="rfc822;gone@remote.test"), GONE, "failed"), smtputf8=False
    ) == (
        "Final-Recipient: rfc822; gone@remote.test\nOriginal-Recipient: rfc822;gone@remote.test\nAction: failed\n"
        "Status: 5.1.1\nRemote-MTA: dns; mail.remote.test\n"
        "Diagnostic-Code: smtp; 550 5.1.1 <gone@remote.test> is gone\n"
    )


def test_a_local_part_that_needs_quotes_has_them_for_programs():
    fields = status_fields(Entry(Recipient("a@b@remote.test"), GONE, "failed"), smtputf8=False)
    assert fields.startswith('Final-Recipient: rfc822; "a@b"@remote.test\n')


def test_a_local_success_says_how_it_was_delivered():
    fields = status_fields(
        Entry(Recipient("a@b.test"), Sent(Status("2.0.0", 0, "delivered to mailbox"), "local"), "delivered"),
        smtputf8=False,
    )
    assert "Diagnostic-Code: X-Postfix; delivery via local: delivered to mailbox\n" in fields


def test_the_report_is_a_multipart_that_a_mail_reader_takes_apart():
    origin = Origin("ABC1", "mx.example.com", "me@example.com", "Sun, 22 Nov 2026 15:40:46 +0000 (UTC)", "env")
    returned = Returned("Undelivered Message", full=True, text=b"Subject: x\n\ntext\n")
    text = body("B/x", "words\n", "utf-8", origin, [Entry(Recipient("gone@remote.test"), GONE, "failed")], returned)
    parsed = email.message_from_bytes(b'Content-Type: multipart/report; boundary="B/x"\n\n' + text)
    assert [part.get_content_type() for part in parsed.get_payload()] == [
        "text/plain",
        "message/delivery-status",
        "message/rfc822",
    ]
    message, recipient = parsed.get_payload()[1].get_payload()
    assert message["Original-Envelope-Id"] == "env"
    assert recipient["Status"] == "5.1.1"


def test_templates_replace_only_what_they_name():
    text = "# comment\n\nfailure_template = <<EOF\nSubject: Oh no\n\nText at $myhostname.\nEOF\n"
    template = parse_templates(text, "f")["failure"]
    assert (template.subject, template.text) == ("Oh no", "Text at $myhostname.\n")
    assert template.postmaster_subject == BUILT_IN["failure"].postmaster_subject


def test_what_is_no_template_file_is_named_with_its_line():
    with pytest.raises(ConfigError) as caught:
        parse_templates("nonsense\n", "bounce.cf")
    assert (caught.value.file, caught.value.line) == ("bounce.cf", 1)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("delay_template = <<E\nColour: red\n\nx\nE\n", 'b: unknown "Colour" header label in delay template'),
        ("delay_template = <<E\nSubject:\n\nx\nE\n", 'b: empty "Subject" header value in delay template'),
        ("delay_template = <<E\nSubject: \u00e9\n\nx\nE\n", 'b: non-ASCII "Subject" header value in delay template'),
        ("delay_template = <<E\nSubject: x\nE\n", "b: missing message text in delay template"),
        ("other_template = <<E\nx\nE\n", "b, line 3: unknown template name: other_template"),
    ],
)
def test_a_template_with_a_mistake_is_passed_over_with_a_warning(text, warning):
    warnings: list[str] = []
    assert parse_templates(text, "b", warnings.append) == {}
    assert warnings == [f"{warning} -- ignoring this template"]


def test_a_template_beyond_ascii_has_to_say_its_charset():
    warnings: list[str] = []
    text = "failure_template = <<E\n{}Subject: x\n\nGr\u00fc\u00dfe\nE\n"
    assert parse_templates(text.format(""), "b", warnings.append) == {}
    assert warnings[0] == "b: 8-bit message text in failure template"
    assert parse_templates(text.format("Charset: utf-8\n"), "b")["failure"].charset == "utf-8"


def test_a_template_without_its_end_mark_goes_to_the_end_of_the_file():
    warnings: list[str] = []
    found = parse_templates("failure_template = <<E\nSubject: x\n\ntext\n", "b", warnings.append)
    assert found["failure"].text == "text\n"
    assert warnings == ['b, line 4: missing "E" end marker']


def test_a_report_that_was_asked_for_says_how_each_recipient_was_tried():
    outcome = Bounced(Status("5.1.1", 0, "unknown user "), "local")
    recipient = Recipient("a@b.test")
    assert notice_line(Entry(recipient, outcome, "failed")) == "<a@b.test>: unknown user"
    assert (
        notice_line(Entry(recipient, outcome, "failed", traced=True)) == "<a@b.test>: delivery via local: unknown user"
    )
    no_relay = Bounced(Status("5.7.9", 0, "no mail for this"), "none")
    assert notice_line(Entry(recipient, no_relay, "undeliverable", traced=True)) == "<a@b.test>: no mail for this"
