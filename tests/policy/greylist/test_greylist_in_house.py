"""check_greylist and SPF's restrictions, as a client at the door meets them."""

from __future__ import annotations

import pytest

from posthouse.policy.greylist.in_house import Attempt, Greylister, HouseRules
from posthouse.policy.greylist.sqlite import SqliteStore
from posthouse.policy.greylist.store import Entry, Kind
from posthouse.policy.verdict import Effect

LISTS = "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, {}\n"
MAIN_CF = """
posthouse_greylist_database = {folder}/greylist.db
posthouse_greylist_whitelist_clients = /dev/null
"""
DNS = ("sender.test TXT v=spf1 ip4:198.51.0.0/16 ip4:203.0.113.0/24 -all", "nobody.test TXT v=spf1 -all")
WAIT = "450 4.2.0 <info@example.org>: Recipient address rejected: Greylisted, please try again in 300 seconds"


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("posthouse.policy.greylist.in_house.Greylister.__init__.__defaults__", (None, made))
    return made


@pytest.fixture
def at_the_door(open_door, tmp_path, clock):
    def build(restrictions="check_greylist", more=""):
        text = MAIN_CF.format(folder=tmp_path) + LISTS.format(restrictions) + more
        return open_door(text, DNS)

    return build


def heard(verdict):
    refusal = verdict.refusal
    return "" if refusal is None else f"{refusal.code} {refusal.dsn} {refusal.text}"


async def test_a_stranger_comes_again(at_the_door, clock):
    house = at_the_door()
    first = await house.rcpt("info@example.org", sender="a@none.test")
    assert heard(first) == WAIT
    clock.now += 301
    again = await house.rcpt("info@example.org", sender="a@none.test")
    assert heard(again) == ""
    assert [action.effect for action in again.actions] == [Effect.PREPEND]
    assert again.actions[0].argument.startswith("X-Greylist: delayed 301 seconds by posthouse at ")


async def test_a_pool_whose_domain_has_spf_passes_at_the_first_retry_from_any_address(at_the_door, clock):
    house = at_the_door()
    assert heard(await house.rcpt("info@example.org", client_address="198.51.1.1")) == WAIT
    clock.now += 301
    assert heard(await house.rcpt("info@example.org", client_address="203.0.113.9")) == ""


async def test_a_pool_without_spf_waits_no_longer_than_the_longest_delay(at_the_door, clock):
    house = at_the_door()
    for number in range(4):
        said = heard(await house.rcpt("info@example.org", sender="a@none.test", client_address=f"192.0.{number}.1"))
        assert said.startswith("450")
        clock.now += 900
    assert heard(await house.rcpt("info@example.org", sender="a@none.test", client_address="192.0.9.1")) == ""


async def test_with_postgreys_rules_the_pool_waits_on(at_the_door, clock):
    house = at_the_door(more="posthouse_greylist_rules = postgrey\n")
    for number in range(8):
        said = heard(await house.rcpt("info@example.org", client_address=f"198.51.{number}.1"))
        assert said.startswith("450")
        clock.now += 900


async def test_whom_one_of_ours_has_written_to_writes_back_at_once(at_the_door, clock):
    house = at_the_door()
    assert heard(await house.rcpt("info@example.org", sender="x@none.test")) == WAIT
    sent = await house.rcpt("friend@far.test", sender="info@example.org", client_address="10.1.1.1")
    assert heard(sent) == ""
    assert heard(await house.rcpt("info@example.org", sender="friend@far.test")) == ""
    assert heard(await house.rcpt("sales@example.org", sender="friend@far.test")).startswith("450")


async def test_inside_and_logged_in_clients_are_left_alone(at_the_door):
    house = at_the_door("check_greylist, reject_spf_fail", "")
    assert heard(await house.rcpt("info@example.org", client_address="10.1.1.1", sender="a@nobody.test")) == ""
    verdict = await house.rcpt("info@example.org", sasl_username="joe", sender="a@nobody.test")
    assert heard(verdict) == ""
    assert not verdict.actions


async def test_a_broken_memory_lets_mail_pass_with_an_alarm(at_the_door, tmp_path):
    house = at_the_door(more=f"posthouse_greylist_database = {tmp_path}/none/greylist.db\n")
    for _ in range(3):
        assert heard(await house.rcpt("info@example.org", sender="a@none.test")) == ""
    alarms = [line for line in house.sink.lines if "greylisting is out of order" in line]
    assert len(alarms) == 1


async def test_asking_what_would_be_leaves_no_trace_in_the_memory(at_the_door, clock):
    from posthouse.policy.trace import Trace

    house = at_the_door()
    for _ in range(2):
        asked = await house.gate.rcpt(house.request(recipient="info@example.org", sender="a@none.test"), Trace())
        assert heard(asked) == WAIT
        clock.now += 301
    assert heard(await house.rcpt("info@example.org", sender="a@none.test")) == WAIT


async def test_other_restrictions_come_first(at_the_door):
    house = at_the_door("check_greylist, reject")
    assert heard(await house.rcpt("info@example.org", sender="a@none.test")).startswith("554")


async def test_spf_fail_is_refused_with_the_reason(at_the_door):
    house = at_the_door("reject_spf_fail")
    said = heard(await house.rcpt("info@example.org", sender="a@nobody.test"))
    assert said == "550 5.7.23 <a@nobody.test>: Sender address rejected: SPF: SPF fail - not authorized"


async def test_a_message_gets_one_spf_header(at_the_door):
    house = at_the_door("reject_spf_fail, add_spf_header")
    request = house.request(recipient="info@example.org", instance="1")
    verdicts = []
    for recipient in ("info@example.org", "sales@example.org"):
        request.recipient = recipient
        verdicts.append(await house.gate.rcpt(request))
    assert [len(verdict.actions) for verdict in verdicts] == [1, 0]
    header = verdicts[0].actions[0].argument
    assert header.startswith("Received-SPF: Pass (mailfrom) identity=mailfrom; client-ip=198.51.100.7; ")


async def test_authentication_results_and_no_header(at_the_door):
    house = at_the_door("add_spf_header", "posthouse_spf_header = AR\n")
    verdict = await house.rcpt("info@example.org")
    assert verdict.actions[0].argument.startswith("Authentication-Results: mail.example.com; spf=pass ")
    house = at_the_door("add_spf_header", "posthouse_spf_header = none\n")
    assert not (await house.rcpt("info@example.org")).actions


@pytest.mark.parametrize("kind", [Kind.EXPECTED])
async def test_who_is_expected_comes_in(tmp_path, kind, open_door, clock):
    house = open_door(MAIN_CF.format(folder=tmp_path) + LISTS.format("check_greylist"), DNS)
    store = SqliteStore(str(tmp_path / "greylist.db"))
    until = int(clock.now) + 3600
    for key in ("new.test", "one@other.test", "192.0.2.1"):
        await store.put(kind, key, Entry(until, until), 0)
    await store.close()
    assert heard(await house.rcpt("info@example.org", sender="any@new.test")) == ""
    assert heard(await house.rcpt("info@example.org", sender="One@Other.test")) == ""
    assert heard(await house.rcpt("info@example.org", sender="a@b.test", client_address="192.0.2.1")) == ""
    assert heard(await house.rcpt("info@example.org", sender="two@other.test")).startswith("450")
    clock.now += 3601
    assert heard(await house.rcpt("info@example.org", sender="any@new.test")).startswith("450")


def test_rules_are_those_of_main_cf(open_door, tmp_path):
    house = open_door(MAIN_CF.format(folder=tmp_path))
    rules = HouseRules.of(house.house.settings)
    assert (rules.times.delay, rules.longest_delay, rules.is_kind) == (300, 3600, True)
    assert Greylister(house.house.settings, house.house.log(house.house.settings, "greylist")).rules == rules
    assert Attempt("1.2.3.4", "unknown", "", "x").attributes["client_address"] == "1.2.3.4"
