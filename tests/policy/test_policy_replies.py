"""Every restriction answers as Postfix 3.7 did when it was asked the same (replies_of_postfix.json, recorded)."""

from __future__ import annotations

import json
import pathlib

import pytest

RECORDED = json.loads((pathlib.Path(__file__).parent / "replies_of_postfix.json").read_text())
# Differs from Postfix: a list's 127.255.255.x is an error of the list, never a listing.
OTHERWISE = {"reject_rbl_client bad255.test": "250 2.1.5 Ok"}
SETTINGS = """
maps_rbl_domains = rbl.test
rbl_reply_maps = inline:{ {custom.test = ours: $$rbl_what} }
smtpd_sender_login_maps = inline:{ friend@sender.test=joe }
unverified_sender_reject_code = 550
smtpd_relay_restrictions =
smtpd_restriction_classes = self
self = self
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{{recipient} = case}} }}, reject_unauth_destination
"""


@pytest.mark.parametrize("party", RECORDED["parties"])
async def test_replies_are_those_of_postfix(party, open_door):
    sender, helo = RECORDED["parties"][party]
    lines = [SETTINGS.split("smtpd_restriction_classes", maxsplit=1)[0]]
    recipients = [case["recipient"] for case in RECORDED["cases"]]
    classes = [f"class{number}" for number in range(len(recipients))]
    lines.append(f"smtpd_restriction_classes = {' '.join(classes)}\n")
    pairs = [f"{recipient}={name}" for recipient, name in zip(recipients, classes, strict=True)]
    lines.append(f"smtpd_recipient_restrictions = check_recipient_access inline:{{ {', '.join(pairs)} }}\n")
    lines.append(" reject_unauth_destination\n")
    for name, case in zip(classes, RECORDED["cases"], strict=True):
        lines.append(f"{name} = {case['list']}\n".replace("hash:/srv", "hash:@CONF@").replace("sleep 1,", "sleep 0,"))
    door = open_door("".join(lines), RECORDED["dns"])
    wrong = []
    for case in RECORDED["cases"]:
        if "reject_unverified_" in case["list"]:
            continue  # needs the queue
        expected = OTHERWISE.get(case["list"], case["replies"][party])
        got = await door.reply(case["recipient"], sender=sender, helo_name=helo)
        if got != expected:
            wrong.append((case["list"], expected, got))
    assert wrong == []
