"""policyd-spf: its options, and the actions that Debian's policyd-spf 3.0.4 gives for the same requests."""

from __future__ import annotations

import subprocess
import sys

import pytest

from policy.spf.spf_zone import zone
from posthouse.policy.spf.evaluation import SpfChecker
from posthouse.policy.spf.header import Mail
from posthouse.policy.spf.options import read_options
from posthouse.policy.spf.policy_server import SpfPolicyServer, with_host

ZONE = """
pass.test TXT v=spf1 ip4:198.51.100.0/24 -all
soft.test TXT v=spf1 ip4:198.51.100.0/24 ~all
neutral.test TXT v=spf1 ?all
perm.test TXT v=spf1 foo:bar -all
temp.test SERVFAIL
exp.test TXT v=spf1 -all exp=why.exp.test
why.exp.test TXT %{i} may not send for %{d} as %{l}
nomail.test TXT v=spf1 -all
5.113.0.203.in-addr.arpa PTR mail.ptr.test
mail.ptr.test A 203.0.113.5
"""
IN, OUT = "198.51.100.7", "203.0.113.5"
WHY = "Please see http://www.openspf.net/Why?"


async def ask(conf, client, helo, sender, **more):
    options, problems = read_options(conf.splitlines())
    assert not problems
    server = SpfPolicyServer(with_host(options, "mx.example.com"), SpfChecker(zone(ZONE)), lambda _level, _text: None)
    return await server.answer(request(client, helo, sender, **more))


def request(client, helo, sender, **more):
    words = {"client_address": client, "helo_name": helo, "sender": sender, "recipient": "x@example.org"}
    return {"request": "smtpd_access_policy", "instance": "1", **words, **more}


def facts(client, helo, sender):
    return f"client-ip={client}; helo={helo}; envelope-from={sender}; receiver=example.org"


def received(result, client, helo, sender, identity="mailfrom", comment="mailfrom"):
    return f"prepend Received-SPF: {result} ({comment}) identity={identity}; {facts(client, helo, sender)}"


def refused(text, who, ip=OUT, dsn="5.7.23"):
    return f"550 {dsn} Message rejected due to: {text}. {WHY}{who};ip={ip};r=example.org"


FAIL = "SPF fail - not authorized"
SOFT = "domain owner discourages use of this host"


@pytest.mark.parametrize(
    ("conf", "client", "helo", "sender", "action"),
    [
        ("", IN, "h.test", "a@pass.test", received("Pass", IN, "h.test", "a@pass.test")),
        ("", OUT, "h.test", "a@pass.test", refused(FAIL, "s=mfrom;id=a@pass.test")),
        ("", OUT, "h.test", "a@soft.test", received("Softfail", OUT, "h.test", "a@soft.test")),
        ("", OUT, "h.test", "a@none.test", received("None", OUT, "h.test", "a@none.test")),
        ("", OUT, "h.test", "a@exp.test", refused("203.0.113.5 may not send for exp.test as a", "s=mfrom;id=a@exp.test")),
        ("", IN, "pass.test", "", received("Pass", IN, "pass.test", "<>", "helo", "sender SPF authorized")),
        ("", OUT, "h.test", "", received("None", OUT, "h.test", "<>", "helo", "no SPF record")),
        ("", OUT, "pass.test", "a@none.test", refused(FAIL, "s=helo;id=pass.test")),
        ("", IN, "pass.test", "a@none.test", received("Pass", IN, "pass.test", "a@none.test", "helo", "sender SPF authorized")),
        ("", IN, "pass.test", "a@soft.test", received("Pass", IN, "pass.test", "a@soft.test")),
        ("", OUT, "soft.test", "a@none.test", received("Softfail", OUT, "soft.test", "a@none.test", "helo", SOFT)),
        ("", "127.0.0.1", "h.test", "a@b.test", f"prepend X-Comment: SPF check N/A for local connections - {facts('127.0.0.1', 'h.test', 'a@b.test')}"),
        ("", "", "h.test", "a@pass.test", "dunno"),
        ("", "unknown", "h.test", "a@pass.test", "dunno"),
        ("Header_Type = None", IN, "h.test", "a@pass.test", "dunno"),
        ("TestOnly = 0", OUT, "h.test", "a@pass.test", "dunno"),
        ("defaultSeedOnly = 0", OUT, "h.test", "a@pass.test", "dunno"),
        ("Mail_From_reject = SPF_Not_Pass", OUT, "h.test", "a@neutral.test", refused("access neither permitted nor denied", "s=mfrom;id=a@neutral.test")),
        ("Mail_From_reject = Softfail", OUT, "h.test", "a@soft.test", refused(SOFT, "s=mfrom;id=a@soft.test")),
        ("Mail_From_reject = False", OUT, "h.test", "a@pass.test", received("Fail", OUT, "h.test", "a@pass.test")),
        ("HELO_reject = Null", OUT, "pass.test", "a@none.test", received("Fail", OUT, "pass.test", "a@none.test", "helo", FAIL)),
        ("HELO_reject = No_Check", IN, "pass.test", "", "dunno"),
        ("Mail_From_reject = No_Check", OUT, "h.test", "a@pass.test", received("None", OUT, "h.test", "a@pass.test", "helo", "no SPF record")),
        ("PermError_reject = True", OUT, "h.test", "a@perm.test", refused("SPF Permanent Error: Unknown mechanism found: foo:bar", "s=mfrom;id=a@perm.test", dsn="5.7.24")),
        ("No_Mail = True", OUT, "h.test", "a@pass.test", received("Fail", OUT, "h.test", "a@pass.test")),
        ("No_Mail = True", OUT, "h.test", "a@nomail.test", refused(FAIL, "s=mfrom;id=a@nomail.test")),
        ("Reject_Not_Pass_Domains = soft.test,x.test", OUT, "h.test", "a@soft.test", refused("Receiver policy for SPF Softfail", "s=mfrom;id=a@soft.test")),
        ("Whitelist = 203.0.113.0/24", OUT, "h.test", "a@pass.test", f"prepend X-Comment: SPF skipped for whitelisted relay - {facts(OUT, 'h.test', 'a@pass.test')}"),
        ("Domain_Whitelist = pass.test", IN, "h.test", "a@b.test", f"prepend X-Comment: SPF skipped for whitelisted relay domain - {facts(IN, 'h.test', 'a@b.test')}"),
        ("Domain_Whitelist_PTR = ptr.test", OUT, "h.test", "a@pass.test", f"prepend X-Comment: SPF skipped for PTR whitelisted relay domain - {facts(OUT, 'h.test', 'a@pass.test')}"),
        ("Prospective = 198.51.100.7", OUT, "h.test", "a@pass.test", "dunno"),
        ("SPF_Enhanced_Status_Codes = No", OUT, "h.test", "a@pass.test", refused(FAIL, "s=mfrom;id=a@pass.test").replace(" 5.7.23", "")),
        ("Reason_Message = X {rejectdefer} {spf} {url}", OUT, "h.test", "a@pass.test", f"550 5.7.23 X rejected {FAIL} {WHY[11:]}s=mfrom;id=a@pass.test;ip={OUT};r=example.org"),
        ("Mail_From_pass_restriction = good", IN, "h.test", "a@pass.test", "good"),
        ("HELO_pass_restriction = good", IN, "pass.test", "a@none.test", "good"),
        ("Mock = True", OUT, "h.test", "a@pass.test", "dunno mock header field that should be ignored"),
        ("skip_addresses = 203.0.113.0/24", "127.0.0.1", "h.test", "a@pass.test", refused(FAIL, "s=mfrom;id=a@pass.test", "127.0.0.1")),
        ("Header_Type = AR", OUT, "h.test", "a@soft.test", f"prepend Authentication-Results: mx.example.com; spf=softfail ({SOFT}) smtp.mailfrom=soft.test ({facts(OUT, 'h.test', 'a@soft.test')})"),
    ],
)  # fmt: skip
async def test_actions(conf, client, helo, sender, action):
    assert await ask(conf, client, helo, sender) == action


async def test_dns_that_fails_defers_where_that_is_asked_for():
    # Differs from policyd-spf 3.0.4, which calls a server failure "none": RFC 7208, 4.4.
    assert (await ask("", OUT, "h.test", "a@temp.test")).startswith("prepend Received-SPF: Temperror (mailfrom)")
    answer = await ask("TempError_Defer = True", OUT, "h.test", "a@temp.test")
    assert answer.startswith("450 4.7.24 Message deferred due to: SPF Temporary Error")


async def test_a_message_gets_one_header_and_every_recipient_the_same_refusal():
    server = SpfPolicyServer(read_options([])[0], SpfChecker(zone(ZONE)), lambda _level, _text: None)
    first = await server.answer(request(IN, "h.test", "a@pass.test"))
    assert first.startswith("prepend Received-SPF: Pass")
    assert await server.answer(request(IN, "h.test", "a@pass.test")) == "dunno"
    assert await server.answer(request(IN, "h.test", "a@pass.test", instance="2")) == first
    refusals = [await server.answer(request(OUT, "h.test", "a@pass.test", instance="3")) for _ in range(2)]
    assert refusals[0] == refusals[1]
    assert refusals[0].startswith("550 ")


async def test_options_of_one_recipient():
    lines = ["# comment", "x@example.org,Mail_From_reject=False|HELO_reject=False"]
    server = SpfPolicyServer(read_options([])[0], SpfChecker(zone(ZONE)), lambda _level, _text: None, lines)
    assert (await server.answer(request(OUT, "h.test", "a@pass.test"))).startswith("prepend Received-SPF: Fail")
    other = await server.answer(request(OUT, "h.test", "a@pass.test", recipient="y@example.org"))
    assert other.startswith("550 ")


def test_lines_that_mean_nothing_are_named():
    options, problems = read_options(
        ["What = 1", "HELO_reject = maybe", "nothing", "Void_Limit = x", "debugLevel = 3"], "f"
    )
    assert [problem.split(":")[0] for problem in problems] == [f"f, line {n}" for n in (1, 2, 3, 4)]
    assert options.debugLevel == 3


def test_nothing_that_a_client_says_can_end_a_header():
    mail = Mail("1.2.3.4", "a\r\nX: y", 'b"; x=y (@c', "d")
    assert "\r" not in mail.facts
    assert "\n" not in mail.facts
    assert mail.facts.count('"') % 2 == 1  # two pairs and one that is escaped
    assert '\\"' in mail.facts


def test_the_command_answers_on_standard_output(tmp_path):
    conf = tmp_path / "c"
    conf.write_text("Mock = True\n")
    words = [sys.executable, "-m", "posthouse.commands.policyd_spf", str(conf)]
    asked = "request=smtpd_access_policy\nclient_address=1.2.3.4\n\n"
    done = subprocess.run(words, input=asked * 2, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "action=dunno mock header field that should be ignored\n\n" * 2
    junk = subprocess.run(
        words, check=True, input="x" * 300_000 + "\n\nfoo\n\n", capture_output=True, text=True, timeout=20
    )
    assert junk.stdout.count("action=") == 2
