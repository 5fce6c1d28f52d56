"""Address verification and sender logins: what the answers of others come to."""

from __future__ import annotations

import pytest

from posthouse.services.verifying import Reachability, Verified

RECIPIENT = "<ok@example.org>: Recipient address rejected: "
LOGINS = """
smtpd_sasl_auth_enable = yes
smtpd_sender_login_maps = inline:{ {joe@example.org = joe, jim} }
smtpd_sender_restrictions = %s
"""


def verifying(answer: Verified):
    async def verify(address: str) -> Verified:
        assert address == "ok@example.org"
        return answer

    return verify


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (Verified(Reachability.REACHABLE), "250 2.1.5 Ok"),
        (
            Verified(Reachability.UNREACHABLE, "5.1.1", "host mx said: 550 no such user"),
            f"450 4.1.1 {RECIPIENT}undeliverable address: host mx said: 550 no such user",
        ),
        (
            Verified(Reachability.TEMPORARILY_UNREACHABLE, "4.4.1", "connection refused"),
            f"450 4.1.1 {RECIPIENT}unverified address: connection refused",
        ),
        (
            Verified(Reachability.UNKNOWN, "4.2.0", "Address verification in progress"),
            f"450 4.1.1 {RECIPIENT}unverified address: Address verification in progress",
        ),
    ],
)
async def test_an_unverified_recipient_is_told_what_the_probe_found(open_door, answer, reply):
    door = open_door("smtpd_recipient_restrictions = reject_unverified_recipient\n")
    door.house.verify = verifying(answer)
    assert await door.reply("ok@example.org") == reply


async def test_codes_and_reasons_can_be_set(open_door):
    door = open_door(
        "smtpd_recipient_restrictions = reject_unverified_recipient\nunverified_recipient_reject_code = 550\n"
        "unverified_recipient_reject_reason = No such user here\n"
    )
    door.house.verify = verifying(Verified(Reachability.UNREACHABLE, "5.1.1", "x"))
    assert await door.reply("ok@example.org") == f"550 5.1.1 {RECIPIENT}undeliverable address: No such user here"


async def test_code_250_accepts_anyway(open_door):
    door = open_door(
        "smtpd_recipient_restrictions = reject_unverified_recipient\nunverified_recipient_defer_code = 250\n"
    )
    door.house.verify = verifying(Verified(Reachability.UNKNOWN, "", "x"))
    assert await door.reply("ok@example.org") == "250 2.1.5 Ok"


async def test_without_verification_the_client_waits_and_the_log_says_why(open_door):
    door = open_door("smtpd_recipient_restrictions = reject_unverified_recipient\n")
    assert (await door.reply("ok@example.org")).startswith("450 4.1.1")
    assert door.warnings == ["reject_unverified_*: address verification is not available in this service"]


OWNED = "553 5.7.1 <joe@example.org>: Sender address rejected: "


@pytest.mark.parametrize(
    ("word", "login", "sender", "reply"),
    [
        ("reject_sender_login_mismatch", "", "joe@example.org", f"{OWNED}not logged in"),
        ("reject_sender_login_mismatch", "JIM", "joe@example.org", "250 2.1.5 Ok"),
        ("reject_sender_login_mismatch", "eve", "joe@example.org", f"{OWNED}not owned by user eve"),
        (
            "reject_sender_login_mismatch",
            "eve",
            "a@b.test",
            "553 5.7.1 <a@b.test>: Sender address rejected: not owned by user eve",
        ),
        ("reject_sender_login_mismatch", "", "a@b.test", "250 2.1.5 Ok"),
        ("reject_known_sender_login_mismatch", "eve", "a@b.test", "250 2.1.5 Ok"),
        ("reject_known_sender_login_mismatch", "eve", "joe@example.org", f"{OWNED}not owned by user eve"),
        ("reject_authenticated_sender_login_mismatch", "", "joe@example.org", "250 2.1.5 Ok"),
        ("reject_unauthenticated_sender_login_mismatch", "eve", "joe@example.org", "250 2.1.5 Ok"),
        ("reject_unauthenticated_sender_login_mismatch", "", "joe@example.org", f"{OWNED}not logged in"),
    ],
)
async def test_senders_belong_to_logins(open_door, word, login, sender, reply):
    door = open_door(LOGINS % word)
    assert await door.reply("ok@example.org", sasl_username=login, sender=sender) == reply
