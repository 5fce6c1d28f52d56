"""Who has to come again, under postgrey's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.policy.greylist.rules import Times, judge_client, judge_triplet
from posthouse.policy.greylist.store import Entry

NOW = 1_800_000_000
DAY = 86400
TIMES = Times(300, 2 * DAY, 35 * DAY, 3)


def test_a_new_triplet_waits():
    decision = judge_triplet(TIMES, None, None, NOW)
    assert (decision.passes, decision.reason, decision.triplet) == (False, "new", Entry(NOW, NOW))


@pytest.mark.parametrize(
    ("seen", "passes", "reason", "waited"),
    [
        ((NOW - 100, NOW - 100), False, "early-retry (200s missing)", None),
        ((NOW - 299, NOW - 1), False, "early-retry (1s missing)", None),
        ((NOW - 300, NOW - 300), True, "triplet found", 300),
        ((NOW - 400, NOW - 200), True, "triplet found", 400),
        ((NOW - 1000, NOW - 100), True, "triplet found", None),
        ((NOW - 2 * DAY, NOW - 2 * DAY), True, "triplet found", 2 * DAY),
        ((NOW - 2 * DAY - 1, NOW - 2 * DAY - 1), False, "new", None),
        ((NOW - 2 * DAY - 100, NOW - 2 * DAY), False, "new", None),
        ((NOW - 40 * DAY, NOW - 35 * DAY), True, "triplet found", None),
        ((NOW - 40 * DAY, NOW - 35 * DAY - 1), False, "new", None),
    ],
)
def test_what_has_been_seen_decides(seen, passes, reason, waited):
    decision = judge_triplet(TIMES, Entry(*seen), None, NOW)
    assert (decision.passes, decision.reason, decision.waited) == (passes, reason, waited)


def test_the_header_is_for_the_first_mail_that_comes_again_only():
    first = judge_triplet(TIMES, Entry(NOW - 300, NOW - 300), None, NOW)
    assert first.waited == 300
    assert judge_triplet(TIMES, first.triplet, None, NOW + 5).waited is None


def test_a_client_counts_once_an_hour_and_only_with_mail_that_came_again():
    decision = judge_triplet(TIMES, Entry(NOW - 300, NOW - 300), None, NOW)
    assert decision.client == Entry(NOW, NOW, 1)
    assert judge_triplet(TIMES, Entry(NOW - 300, NOW - 300), Entry(0, NOW - 3599, 1), NOW).client is None
    assert judge_triplet(TIMES, Entry(NOW - 300, NOW - 300), Entry(0, NOW - 3600, 1), NOW).client == Entry(0, NOW, 2)
    assert judge_triplet(TIMES, Entry(NOW - 900, NOW - 100), Entry(0, NOW - 3600, 1), NOW).client is None


def test_a_client_that_came_again_often_enough_waits_no_more():
    last = judge_triplet(TIMES, Entry(NOW - 300, NOW - 300), Entry(0, NOW - 3600, 2), NOW)
    assert last.now_trusted
    trusted = judge_client(TIMES, last.client, NOW + 10)
    assert trusted is not None
    assert (trusted.passes, trusted.reason, trusted.client) == (True, "client AWL", None)
    later = judge_client(TIMES, last.client, NOW + 3600)
    assert later is not None
    assert later.client is not None
    assert later.client.times == 4


def test_a_client_that_was_long_away_has_to_prove_itself_again():
    assert judge_client(TIMES, Entry(0, NOW - 35 * DAY - 1, 9), NOW) is None


def test_no_client_is_counted_where_that_is_switched_off():
    off = Times(client_count=0)
    assert judge_client(off, Entry(0, NOW, 100), NOW) is None
    assert judge_triplet(off, Entry(NOW - 300, NOW - 300), None, NOW).client is None


@given(st.lists(st.integers(0, 4000), min_size=2, max_size=30))
def test_whoever_keeps_trying_gets_in_within_the_delay_and_stays_in(pauses):
    entry, now, was_in = None, NOW, False
    for pause in pauses:
        now += pause
        decision = judge_triplet(TIMES, entry, None, now)
        entry = decision.triplet
        if now - NOW - pauses[0] >= TIMES.delay:
            assert decision.passes
        assert decision.passes or not was_in
        was_in = decision.passes
