"""The restriction language: every word is there, described and declared; the recipe for a new one works."""

from __future__ import annotations

import pathlib
import re

import pytest

from conftest import said
from posthouse.policy import catalogue
from posthouse.policy.catalogue import Permits, Stage, all_restrictions, find, similar
from posthouse.policy.words import split_words

WORDS = [
    "check_ccert_access",
    "check_client_a_access",
    "check_client_access",
    "check_client_mx_access",
    "check_client_ns_access",
    "check_etrn_access",
    "check_helo_a_access",
    "check_helo_access",
    "check_helo_mx_access",
    "check_helo_ns_access",
    "check_policy_service",
    "check_recipient_a_access",
    "check_recipient_access",
    "check_recipient_maps",
    "check_recipient_mx_access",
    "check_recipient_ns_access",
    "check_relay_domains",
    "check_reverse_client_hostname_a_access",
    "check_reverse_client_hostname_access",
    "check_reverse_client_hostname_mx_access",
    "check_reverse_client_hostname_ns_access",
    "check_sasl_access",
    "check_sender_a_access",
    "check_sender_access",
    "check_sender_mx_access",
    "check_sender_ns_access",
    "defer",
    "defer_if_permit",
    "defer_if_reject",
    "defer_unauth_destination",
    "permit",
    "permit_auth_destination",
    "permit_dnswl_client",
    "permit_inet_interfaces",
    "permit_mx_backup",
    "permit_mynetworks",
    "permit_naked_ip_address",
    "permit_rhswl_client",
    "permit_sasl_authenticated",
    "permit_tls_all_clientcerts",
    "permit_tls_clientcerts",
    "reject",
    "reject_authenticated_sender_login_mismatch",
    "reject_invalid_helo_hostname",
    "reject_invalid_hostname",
    "reject_known_sender_login_mismatch",
    "reject_maps_rbl",
    "reject_multi_recipient_bounce",
    "reject_non_fqdn_helo_hostname",
    "reject_non_fqdn_hostname",
    "reject_non_fqdn_recipient",
    "reject_non_fqdn_sender",
    "reject_plaintext_session",
    "reject_rbl_client",
    "reject_rhsbl_client",
    "reject_rhsbl_helo",
    "reject_rhsbl_recipient",
    "reject_rhsbl_reverse_client",
    "reject_rhsbl_sender",
    "reject_sender_login_mismatch",
    "reject_unauth_destination",
    "reject_unauth_pipelining",
    "reject_unauthenticated_sender_login_mismatch",
    "reject_unknown_address",
    "reject_unknown_client",
    "reject_unknown_client_hostname",
    "reject_unknown_helo_hostname",
    "reject_unknown_hostname",
    "reject_unknown_recipient_domain",
    "reject_unknown_reverse_client_hostname",
    "reject_unknown_sender_domain",
    "reject_unlisted_recipient",
    "reject_unlisted_sender",
    "reject_unverified_recipient",
    "reject_unverified_sender",
    "sleep",
]


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_manual_is_known(word):
    assert find(word) is not None
    assert find(word.upper()) is find(word)


def test_every_restriction_is_described_and_knows_its_stages():
    for entry in all_restrictions():
        assert len(entry.manual) > 20, entry.name
        assert entry.stages & Stage.ANY, entry.name


def test_what_permits_says_so():
    for entry in all_restrictions():
        assert (
            (entry.permits is not Permits.NEVER)
            or not entry.name.startswith("permit")
            or not entry.manual.startswith("Permit")
        ), entry.name


def test_mistyped_words_are_recognised():
    assert similar("reject_unauth_destinatoin") == "reject_unauth_destination"
    assert similar("nonsense") == ""


def test_lists_are_split_at_commas_and_blanks_outside_braces():
    assert split_words("a, b\n c,,d") == ["a", "b", "c", "d"]
    assert split_words("x { inet:h:1, timeout=1s }, inline:{ a=b, {c = d e} } y") == [
        "x",
        "{ inet:h:1, timeout=1s }",
        "inline:{ a=b, {c = d e} }",
        "y",
    ]


async def test_the_recipe_for_a_new_restriction_works(open_door, monkeypatch):
    find("permit")
    monkeypatch.setattr(catalogue, "_known", dict(catalogue._known))
    monkeypatch.setattr(catalogue, "_load", lambda: catalogue._known)
    page = pathlib.Path(__file__).parents[2] / "docs/adding/restriction.md"
    code = re.search(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert code is not None
    exec(compile(code[1].replace("from __future__ import annotations", ""), "recipe", "exec"), {})
    door = open_door("smtpd_helo_restrictions = reject_helo_of_ours\n")
    verdict = await door.rcpt("ok@example.org", helo_name="mail.example.com")
    assert said(verdict) == "554 5.7.1 <mail.example.com>: Helo command rejected: You are not me"
    assert await door.reply("ok@example.org") == "250 2.1.5 Ok"
