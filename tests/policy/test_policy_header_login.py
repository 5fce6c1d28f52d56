"""The addresses in the header of a message belong to the login that sends it."""

from __future__ import annotations

import pytest

from conftest import said
from posthouse.policy.trace import Trace
from posthouse.policy.verdict import Action, Effect

MAIN = """
smtpd_sasl_auth_enable = yes
recipient_delimiter = +
smtpd_sender_login_maps = inline:{
 {joe@example.org = joe} {info@example.org = joe, ann} {boss@example.org = boss} {@shop.test = joe} {postmaster = joe} }
"""
OK = "250 2.1.5 Ok"


def refused(address, field="From"):
    return f"550 5.7.1 <{address}>: Header {field} rejected: not owned by user joe"


async def end_of(door, header, login="joe", trace=None, **facts):
    request = door.request(
        sasl_username=login, protocol_state="END-OF-MESSAGE", header=lambda: header.encode("utf-8"), **facts
    )
    return await door.gate.end_of_data(request, trace)


def strict(open_door, more=""):
    return open_door(f"{MAIN}smtpd_end_of_data_restrictions = reject_header_sender_login_mismatch\n{more}")


@pytest.mark.parametrize(
    ("header", "reply"),
    [
        ("From: joe@example.org\n", OK),
        ("From: Joe <JOE@Example.ORG>\n", OK),
        ('From: "boss@example.org" <joe@example.org>\n', OK),
        ("From: joe+lists@example.org\n", OK),
        ("From: anybody@shop.test\n", OK),
        ("From: postmaster\n", OK),  # a bare name is one of this host's own
        ("Subject: no From at all\n", OK),
        ("From: joe@example.org, Ann <info@example.org>\n", OK),
        ("From: boss@example.org\n", refused("boss@example.org")),
        ("From: joe@example.org, The Boss <boss@example.org>\n", refused("boss@example.org")),
        ("From: joe@example.org\nFrom: boss@example.org\n", refused("boss@example.org")),
        ("From: joe@example.org\nSubject: x\nFROM : boss@example.org\n", refused("boss@example.org")),
        ("From: The Boss\n\t(of all)\n <boss@example.org>\n", refused("boss@example.org")),
        ("From: us: joe@example.org, boss@example.org;\n", refused("boss@example.org")),
        ("From: stranger@elsewhere.test\n", refused("stranger@elsewhere.test")),
        ("From: boss\n", refused("boss")),
        ("From: undisclosed:;\n", refused("")),
        ("From: <>\n", refused("")),
        ("From:\n", refused("")),
        ("From: jörg@example.org\n", refused("jörg@example.org")),
        ("From: joe@example.org\nSender: boss@example.org\n", refused("boss@example.org", "Sender")),
        ("From: joe@example.org\nResent-From: boss@example.org\n", refused("boss@example.org", "Resent-From")),
        ("From: boss@example.org\nResent-From: joe@example.org\n", refused("boss@example.org")),
        ("From: joe@example.org\nReply-To: boss@example.org\n", OK),
    ],
)
async def test_every_address_of_the_header_belongs_to_the_login(open_door, header, reply):
    assert said(await end_of(strict(open_door), header)) == reply


async def test_the_fields_that_count_can_be_chosen(open_door):
    door = strict(open_door, "posthouse_header_sender_login_fields = From, Reply-To\n")
    assert said(await end_of(door, "From: joe@example.org\nSender: boss@example.org\n")) == OK
    header = "From: joe@example.org\nReply-To: boss@example.org\n"
    assert said(await end_of(door, header)) == refused("boss@example.org", "Reply-To")


async def test_who_has_not_logged_in_is_not_asked(open_door):
    assert said(await end_of(strict(open_door), "From: boss@example.org\n", login="")) == OK


async def test_letter_case_of_a_login_does_not_matter(open_door):
    assert said(await end_of(strict(open_door), "From: joe@example.org\n", login="JOE")) == OK


async def test_addresses_that_nobody_owns_may_pass(open_door):
    door = open_door(f"{MAIN}smtpd_end_of_data_restrictions = reject_known_header_sender_login_mismatch\n")
    assert said(await end_of(door, "From: stranger@elsewhere.test\n")) == OK
    assert said(await end_of(door, "From: boss@example.org\n")) == refused("boss@example.org")


async def test_it_can_only_warn(open_door):
    words = "warn_if_reject reject_header_sender_login_mismatch"
    door = open_door(f"{MAIN}smtpd_end_of_data_restrictions = {words}\n")
    verdict = await end_of(door, "From: boss@example.org\n")
    assert said(verdict) == OK
    assert [(note.kind, note.text) for note in verdict.notes] == [("reject_warning", refused("boss@example.org"))]


@pytest.mark.parametrize("word", ["hold_header_sender_login_mismatch", "hold_known_header_sender_login_mismatch"])
async def test_it_can_hold_the_mail(open_door, word):
    door = open_door(f"{MAIN}smtpd_end_of_data_restrictions = {word}\n")
    verdict = await end_of(door, "From: boss@example.org\n")
    assert said(verdict) == OK
    assert verdict.actions == (Action(Effect.HOLD, "not owned by user joe"),)
    assert [note.text for note in verdict.notes] == ["<boss@example.org>: Header From not owned by user joe"]
    assert not (await end_of(door, "From: joe@example.org\n")).actions


async def test_what_goes_to_a_filter_first_cannot_be_held(open_door):
    words = "smtpd_end_of_data_restrictions = hold_header_sender_login_mismatch\nsmtpd_proxy_filter = 127.0.0.1:9\n"
    door = open_door(MAIN + words)
    assert said(await end_of(door, "From: boss@example.org\n")) == "451 4.3.5 Server configuration error"
    assert "mail cannot be held" in door.warnings[0]


async def test_a_table_that_cannot_answer_defers_the_mail(open_door):
    door = open_door(
        "smtpd_sasl_auth_enable = yes\nsmtpd_sender_login_maps = fail:it\n"
        "smtpd_end_of_data_restrictions = reject_header_sender_login_mismatch\n"
    )
    verdict = await end_of(door, "From: joe@example.org\n")
    assert said(verdict) == "451 4.3.0 <joe@example.org>: Temporary lookup failure"


async def test_no_more_than_a_hundred_addresses_are_asked_for(open_door):
    door = open_door(f"{MAIN}smtpd_end_of_data_restrictions = reject_known_header_sender_login_mismatch\n")
    header = "From: " + ",\n ".join(f"u{number}@elsewhere.test" for number in range(101)) + "\n"
    assert said(await end_of(door, header)) == refused("u100@elsewhere.test")


async def test_only_what_stays_of_a_field_counts(open_door):
    door = strict(open_door, "header_size_limit = 1000\n")
    header = f"From: joe@example.org\n {' ' * 1000}, boss@example.org\n"
    assert said(await end_of(door, header)) == OK


async def test_in_other_lists_the_word_has_nothing_to_look_at(open_door):
    door = open_door(f"{MAIN}smtpd_sender_restrictions = reject_header_sender_login_mismatch\n")
    assert await door.reply("ok@example.org", sasl_username="joe") == OK


async def test_the_trace_names_table_and_key(open_door):
    trace = Trace()
    await end_of(strict(open_door), "From: boss@example.org\n", trace=trace)
    facts = [(fact.where, fact.key, fact.answer) for entry in trace.entries for fact in entry.facts]
    assert ("smtpd_sender_login_maps", "boss@example.org", "boss") in facts
