"""The lists of all stages together: order, what one stage leaves to the next, and what each address hears."""

from __future__ import annotations

import json
import pathlib
import time

import pytest

from conftest import said
from posthouse.mail.address import unquote_address
from posthouse.policy.trace import Trace
from posthouse.policy.verdict import Action, Effect, Note

RECORDED = json.loads((pathlib.Path(__file__).parent / "addresses_of_postfix.json").read_text())
NOT_DELAYED = "smtpd_delay_reject = no\n"
OK = "250 2.1.5 Ok"


def internal(address: str) -> str:
    if address.startswith("@") and ":" in address:
        address = address.partition(":")[2]
    return unquote_address(address)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["name"])
async def test_every_address_hears_what_postfix_said(recorded, open_door):
    door = open_door("inet_interfaces = 192.0.2.1, 127.0.0.1\nalias_maps =\n" + recorded["main_cf"], recorded["dns"])
    wrong = []
    for address, expected in recorded["replies"].items():
        facts = {"client_address": recorded["client"], "helo_name": "c.test"}
        if recorded["stage"] == "mail":
            verdict = await door.gate.mail(door.request(sender=internal(address), protocol_state="MAIL", **facts))
            got = said(verdict).replace(OK, "250 2.1.0 Ok")
        else:
            verdict = await door.rcpt(internal(address), sender="a@sender.test", **facts)
            got = said(verdict)
        if got != expected:
            wrong.append((address, expected, got))
    assert wrong == []


async def test_by_default_everything_waits_until_rcpt(open_door):
    door = open_door("smtpd_client_restrictions = reject\nsmtpd_sender_restrictions = reject\n")
    request = door.request()
    assert (await door.gate.connect(request)).refusal is None
    assert (await door.gate.helo(request)).refusal is None
    assert (await door.gate.mail(request)).refusal is None
    assert (
        await door.reply("ok@example.org") == "554 5.7.1 <unknown[198.51.100.7]>: Client host rejected: Access denied"
    )


async def test_without_delay_each_command_is_judged_at_once(open_door):
    door = open_door(NOT_DELAYED + "smtpd_client_restrictions = reject\n")
    assert said(await door.gate.connect(door.request())).startswith("554 5.7.1 <unknown[198.51.100.7]>: Client host")


async def test_a_deferral_postponed_at_helo_takes_effect_at_rcpt(open_door):
    door = open_door(NOT_DELAYED + "smtpd_helo_restrictions = check_helo_access static:{DEFER_IF_PERMIT later}\n")
    request = door.request(recipient="ok@example.org")
    assert (await door.gate.helo(request)).refusal is None
    assert (await door.gate.mail(request)).refusal is None
    assert said(await door.gate.rcpt(request)) == "450 4.7.1 <client.example.net>: Helo command rejected: later"
    request.recipient = "x@elsewhere.test"
    assert said(await door.gate.rcpt(request)) == "454 4.7.1 <x@elsewhere.test>: Relay access denied"


async def test_relay_restrictions_come_first_from_level_3_6_on(open_door):
    lists = "smtpd_relay_restrictions = reject\nsmtpd_recipient_restrictions = defer\n"
    assert (await open_door(lists).reply("ok@example.org")).startswith("554")
    older = open_door("compatibility_level = 3.5\n" + lists)
    assert (await older.reply("ok@example.org")).startswith("450 4.3.2")


async def test_access_actions_come_with_their_log_lines(open_door):
    door = open_door("smtpd_recipient_restrictions = check_recipient_access static:{REDIRECT a@example.org}\n")
    verdict = await door.rcpt("ok@example.org")
    assert verdict.refusal is None
    assert verdict.actions == (Action(Effect.REDIRECT, "a@example.org"),)
    assert verdict.notes == (Note("redirect", "<ok@example.org>: Recipient address triggers REDIRECT a@example.org"),)


async def test_after_discard_nothing_else_is_asked_in_the_transaction(open_door):
    lists = "smtpd_recipient_restrictions = check_recipient_access inline:{ a@example.org=DISCARD }, reject\n"
    door = open_door(lists)
    request = door.request(recipient="a@example.org")
    assert (await door.gate.rcpt(request)).actions == (Action(Effect.DISCARD),)
    request.recipient = "b@example.org"
    assert (await door.gate.rcpt(request)).refusal is None
    await door.gate.mail(request)
    assert (await door.gate.rcpt(request)).refusal is not None


async def test_data_knows_the_recipient_only_if_there_is_one(open_door):
    door = open_door("smtpd_data_restrictions = check_recipient_access inline:{ {a@example.org=REJECT alone} }\n")
    request = door.request(recipient="a@example.org", recipient_count=1, protocol_state="DATA")
    assert said(await door.gate.data(request)) == "554 5.7.1 <a@example.org>: Recipient address rejected: alone"
    request.recipient_count = 2
    assert (await door.gate.data(request)).refusal is None


async def test_a_bounce_to_several_is_refused_at_data(open_door):
    door = open_door("smtpd_data_restrictions = reject_multi_recipient_bounce\n")
    request = door.request(sender="", recipient_count=2, protocol_state="DATA")
    assert said(await door.gate.data(request)) == "550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce"


async def test_421_and_521_close_the_connection(open_door):
    door = open_door("smtpd_recipient_restrictions = check_client_access static:{421 4.7.0 later}\n")
    assert (await door.rcpt("ok@example.org")).closes


async def test_soft_bounce_makes_refusals_temporary(open_door):
    door = open_door("soft_bounce = yes\nsmtpd_recipient_restrictions = reject\n")
    assert (await door.reply("ok@example.org")).startswith("454 4.7.1")


async def test_a_class_that_names_itself_is_a_configuration_error(open_door):
    door = open_door("smtpd_restriction_classes = self\nself = self\nsmtpd_recipient_restrictions = self\n")
    assert await door.reply("ok@example.org") == "451 4.3.5 Server configuration error"


async def test_a_trace_says_which_rule_and_why(open_door):
    door = open_door(
        "smtpd_recipient_restrictions = permit_mynetworks, check_sender_access inline:{ sender.test=REJECT }\n"
    )
    trace = Trace()
    await door.gate.rcpt(door.request(recipient="ok@example.org"), trace)
    last = trace.entries[-1]
    assert last.rule.startswith("check_sender_access")
    assert last.parameter == "smtpd_recipient_restrictions"
    assert last.place is not None
    assert last.answer == "refuse: 554 5.7.1 <friend@sender.test>: Sender address rejected: Access denied"
    assert [(fact.key, fact.answer) for fact in last.facts] == [("friend@sender.test", None), ("sender.test", "REJECT")]


async def test_mail_from_a_filter_need_not_be_for_known_addresses(open_door):
    known = "virtual_mailbox_domains = example.org\nvirtual_mailbox_maps = inline:{ ok@example.org=ok/ }\n"
    verdict = await open_door(known).gate.rcpt(open_door(known).request(recipient="nobody@example.org"))
    assert verdict.refusal is not None
    door = open_door(known + "receive_override_options = no_unknown_recipient_checks\n")
    assert (await door.gate.rcpt(door.request(recipient="nobody@example.org"))).refusal is None


async def test_the_default_lists_cost_microseconds(open_door):
    door = open_door("mynetworks = 198.51.100.0/24\nsmtpd_reject_unlisted_recipient = no\n")
    request = door.request(recipient="ok@example.org")
    begun = time.perf_counter()
    for _ in range(2000):
        await door.gate.rcpt(request)
    assert (time.perf_counter() - begun) / 2000 < 100e-6


@pytest.mark.parametrize(
    ("table", "refusal"),
    [
        ("check_client_access", "554 5.7.1 <unknown[198.51.100.7]>: Client host rejected: Access denied"),
        ("check_sender_access", "554 5.7.1 <friend@sender.test>: Sender address rejected: Access denied"),
        ("check_recipient_access", "554 5.7.1 <ok@example.org>: Recipient address rejected: Access denied"),
    ],
)  # fmt: skip
async def test_a_class_from_a_table_refuses_whom_the_table_was_asked_about(open_door, table, refusal):
    classes = "smtpd_restriction_classes = closed\nclosed = reject\n"
    door = open_door(
        f"{classes}smtpd_recipient_restrictions = warn_if_reject {table} static:closed, {table} static:closed\n"
    )
    assert await door.reply("ok@example.org") == refusal


async def test_a_table_may_not_name_a_table(open_door):
    door = open_door("smtpd_recipient_restrictions = check_recipient_access static:{check_sender_access hash:/x}\n")
    assert await door.reply("ok@example.org") == "451 4.3.5 Server configuration error"
    assert "define a restriction class and specify its name instead." in door.warnings[-1]


async def test_a_table_that_leads_back_to_itself_is_a_configuration_error(open_door):
    lists = "smtpd_restriction_classes = again\nagain = check_recipient_access static:again\n"
    door = open_door(lists + "smtpd_recipient_restrictions = check_recipient_access static:again\n")
    assert await door.reply("ok@example.org") == "451 4.3.5 Server configuration error"
    assert door.warnings[-1].endswith("access table static:again entry again causes unreasonable recursion")


async def test_what_stands_after_check_relay_domains_is_ignored_with_a_warning(open_door):
    door = open_door("mydestination = example.org\nsmtpd_recipient_restrictions = check_relay_domains, reject\n")
    await door.rcpt("postmaster@example.org")
    assert "restriction `reject' after `check_relay_domains' is ignored" in "\n".join(door.warnings)


async def test_a_list_reply_with_an_unknown_name_makes_mail_wait(open_door):
    settings = "default_rbl_reply = $rbl_code $nonsense\nsmtpd_recipient_restrictions = reject_rbl_client rbl.test\n"
    door = open_door(settings, ["7.100.51.198.rbl.test A 127.0.0.2"])
    assert await door.reply("ok@example.org") == "451 4.3.5 Server configuration error"
    assert 'unknown macro name "nonsense" in expansion request' in "\n".join(door.warnings)


async def test_hold_is_said_once_in_a_transaction(open_door):
    door = open_door("smtpd_recipient_restrictions = check_recipient_access static:HOLD\n")
    request = door.request(recipient="a@example.org")
    assert [note.kind for note in (await door.gate.rcpt(request)).notes] == ["hold"]
    assert (await door.gate.rcpt(request)).notes == ()
    await door.gate.mail(request)
    assert (await door.gate.rcpt(request)).actions == (Action(Effect.HOLD),)


async def test_a_table_that_has_nothing_to_say_is_no_answer_and_the_log_says_so(open_door):
    door = open_door("smtpd_recipient_restrictions = check_recipient_access static:{ }, reject\n")
    assert (await door.reply("ok@example.org")).startswith("554 5.7.1")
    assert "has empty value" in door.warnings[-1]


async def test_an_unknown_alias_is_refused_with_its_own_code(open_door):
    settings = "virtual_alias_domains = alias.test\nunknown_virtual_alias_reject_code = 561\n"
    door = open_door(settings + "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit\n")
    assert (await door.reply("x@alias.test")).startswith(
        "561 5.1.1 <x@alias.test>: Recipient address rejected: User unk"
    )


async def test_logins_are_not_compared_where_nobody_can_log_in_and_the_log_says_so(open_door):
    door = open_door("smtpd_recipient_restrictions = reject_sender_login_mismatch, permit\n")
    await door.rcpt("ok@example.org")
    text = "\n".join(door.warnings)
    assert "`reject_authenticated_sender_login_mismatch' ignored: no SASL support" in text
    assert "`reject_unauthenticated_sender_login_mismatch' ignored: no SASL support" in text


async def test_a_pattern_sees_a_hosts_name_as_it_is(open_door):
    door = open_door("smtpd_client_restrictions = check_client_access pcre:{{/^(.*)$$/ REJECT $$1}}\n")
    assert (await door.reply("ok@example.org", client_name="Mail.Isp.test")).endswith("rejected: Mail.Isp.test")
