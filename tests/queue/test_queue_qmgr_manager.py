"""The queue manager, with agents that do as they are told."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from queue_scene import SENT, a_house, a_message, a_service, listed, take_in, until

from posthouse.mail.envelope import Notify, Recipient, Trace
from posthouse.mail.outcome import Bounced, Deferred, Sent
from posthouse.mail.status import Status
from posthouse.services.delivery import Report, Result

REFUSED = Deferred(Status("4.4.1", 0, "connect to down.test[203.0.113.1]:25: Connection refused"))
GONE = Bounced(Status("5.1.1", 550, "host x said: 550 5.1.1 gone"), "x[192.0.2.1]:25")


def same(outcome, dead=None):
    return lambda request: Report(tuple(Result(t.index, outcome) for t in request.targets), dead)


async def test_a_message_is_delivered_from_memory_and_removed(tmp_path):
    scene = a_house(tmp_path)
    message = a_message("x@example.net")
    await take_in(scene, message)
    await until(lambda: not scene.qmgr.active)
    assert await listed(scene) == []
    lines = [re.sub(r"delays?=[\d./]+", "T", line) for line in scene.lines]
    assert lines == [
        f"postfix/qmgr: {message.queue_id}: from=<a@example.com>, size=17, nrcpt=1 (queue active)",
        f"postfix/smtp: {message.queue_id}: to=<x@example.net>, relay=sink, T, T, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
        f"postfix/qmgr: {message.queue_id}: removed",
    ]
    assert scene.agent.requests[0].message is message
    await scene.store.close()


async def test_the_label_of_a_status_line_is_that_of_the_transports_service(tmp_path):
    scene = a_house(tmp_path)
    await take_in(scene, a_message("x@relay.test"))
    await until(lambda: not scene.qmgr.active)
    assert next(line for line in scene.lines if "status=sent" in line).startswith("postfix/relay/smtp: ")
    await scene.store.close()


async def test_recipients_of_one_next_hop_travel_together_up_to_the_limit(tmp_path):
    scene = a_house(tmp_path, "smtp_destination_recipient_limit = 3\n")
    await take_in(scene, a_message(*(f"{letter}@example.net" for letter in "gfedcba"), "x@example.org"))
    await until(lambda: not scene.qmgr.active)
    got = sorted([t.recipient.address for t in r.targets] for r in scene.agent.requests)
    assert got == [
        ["a@example.net", "b@example.net", "c@example.net"],
        ["d@example.net", "e@example.net", "f@example.net"],
        ["g@example.net"],
        ["x@example.org"],
    ]
    assert await listed(scene) == []
    await scene.store.close()


async def test_deferred_mail_waits_for_the_minimal_backoff_time_and_comes_back_at_a_flush(tmp_path):
    scene = a_house(tmp_path)
    scene.agent.answer = same(REFUSED)
    await take_in(scene, a_message("x@down.test"))
    await until(lambda: not scene.qmgr.active)
    (row,) = await listed(scene)
    assert row.queue.value == "deferred"
    assert row.recipients == (("x@down.test", "connect to down.test[203.0.113.1]:25: Connection refused"),)
    assert 290 < row.due - time.time() <= 300
    runner = asyncio.ensure_future(scene.qmgr.run())
    await asyncio.sleep(0.05)
    assert len(scene.agent.requests) == 1
    scene.agent.answer = None
    assert await scene.qmgr.flush() == 1
    await until(lambda: len(scene.agent.requests) == 2 and not scene.qmgr.active)
    assert await listed(scene) == []
    await scene.qmgr.stop()
    await runner
    await scene.store.close()


async def test_recipients_that_are_done_are_not_tried_again(tmp_path):
    scene = a_house(tmp_path)
    scene.agent.answer = lambda request: Report(
        tuple(Result(t.index, REFUSED if t.recipient.address.startswith("b") else SENT) for t in request.targets)
    )
    message = a_message("a@example.net", "b@example.net", "b@example.org", "c@example.com")
    await take_in(scene, message)
    await until(lambda: not scene.qmgr.active)
    (row,) = await listed(scene)
    assert [address for address, _ in row.recipients] == ["b@example.net", "b@example.org"]
    scene.agent.answer, scene.agent.requests = None, []
    runner = asyncio.ensure_future(scene.qmgr.run())
    await scene.qmgr.flush([message.queue_id])
    await until(lambda: len(scene.agent.requests) == 2 and not scene.qmgr.active)
    assert await listed(scene) == []
    await scene.qmgr.stop()
    await runner
    await scene.store.close()


async def test_what_bounces_is_told_to_the_sender_and_the_notice_is_delivered(tmp_path):
    scene = a_house(tmp_path)
    scene.agent.answer = lambda request: None if request.message.envelope.sender == "" else same(GONE)(request)
    await take_in(scene, a_message("x@example.net"))
    await until(lambda: len(scene.agent.requests) == 2 and not scene.qmgr.active)
    ((_, results),) = scene.bouncer.failures
    assert [r.outcome for r in results] == [GONE]
    assert scene.agent.requests[1].targets[0].recipient.address == "a@example.com"
    assert await listed(scene) == []
    assert any("dsn=5.1.1, status=bounced (host x said: 550 5.1.1 gone)" in line for line in scene.lines)
    await scene.store.close()


async def test_a_bouncer_that_fails_loses_nothing(tmp_path):
    scene = a_house(tmp_path)
    scene.agent.answer = same(GONE)

    async def fail(message, results):
        raise OSError("no")

    scene.bouncer.failure = fail
    await take_in(scene, a_message("x@example.net"))
    await until(lambda: not scene.qmgr.active)
    (row,) = await listed(scene)
    assert row.recipients == (("x@example.net", "bounce or trace service failure"),)
    await scene.store.close()


async def test_an_agent_that_raises_defers_with_4_3_0_and_leaves_a_traceback(tmp_path):
    scene = a_house(tmp_path)

    def fail(request):
        raise ZeroDivisionError("oops")

    scene.agent.answer = fail
    await take_in(scene, a_message("x@example.net"))
    await until(lambda: not scene.qmgr.active)
    assert any("dsn=4.3.0, status=deferred (unknown mail transport error)" in line for line in scene.lines)
    assert any("Traceback" in line for line in scene.lines)
    assert len(await listed(scene)) == 1
    await scene.store.close()


async def test_a_recipient_without_a_result_is_deferred(tmp_path):
    scene = a_house(tmp_path)
    scene.agent.answer = lambda request: Report(())
    await take_in(scene, a_message("x@example.net"))
    await until(lambda: not scene.qmgr.active)
    assert len(await listed(scene)) == 1
    await scene.store.close()


@pytest.mark.parametrize(
    ("recipient", "main_cf", "said"),
    [
        (
            "x@broken.test",
            "",
            "postfix/error: QID: to=<x@broken.test>, relay=none, T, T, dsn=4.3.0, status=deferred (address resolver failure)",
        ),
        (
            "x@a.test",
            "defer_transports = smtp\n",
            "postfix/error: QID: to=<x@a.test>, relay=none, T, T, dsn=4.3.2, status=deferred (deferred transport)",
        ),
        (
            "double-bounce@local.test",
            "",
            "postfix/qmgr: QID: to=<double-bounce@local.test>, relay=none, T, T, dsn=2.0.0, status=sent (undeliverable postmaster notification discarded)",
        ),
    ],
)
async def test_some_recipients_need_no_agent(tmp_path, recipient, main_cf, said):
    scene = a_house(tmp_path, main_cf)
    message = a_message(recipient)
    await take_in(scene, message)
    await until(lambda: not scene.qmgr.active)
    lines = [re.sub(r"delays?=[\d./]+", "T", line).replace(message.queue_id, "QID") for line in scene.lines]
    assert said in lines
    assert not scene.agent.requests
    await scene.store.close()


async def test_an_unknown_transport_defers(tmp_path):
    scene = a_house(tmp_path)
    message = a_message("x@a.test", content_filter="nosuch:")
    await take_in(scene, message)
    await until(lambda: not scene.qmgr.active)
    assert "postfix/qmgr: warning: connect to transport private/nosuch: No such file or directory" in scene.lines
    assert any("dsn=4.3.0, status=deferred (mail transport unavailable)" in line for line in scene.lines)
    await scene.store.close()


async def test_content_filter_takes_all_recipients_together(tmp_path):
    scene = a_house(tmp_path)
    await take_in(scene, a_message("x@b.test", "y@a.test", content_filter="relay:[127.0.0.1]:10024"))
    await until(lambda: not scene.qmgr.active)
    (request,) = scene.agent.requests
    assert (request.transport, request.nexthop) == ("relay", "[127.0.0.1]:10024")
    assert [t.recipient.address for t in request.targets] == ["y@a.test", "x@b.test"]
    await scene.store.close()


async def test_a_bad_address_goes_to_the_error_transport(tmp_path):
    scene = a_house(tmp_path)
    await take_in(scene, a_message("x@bad.test"))
    await until(lambda: not scene.qmgr.active)
    (request,) = scene.agent.requests
    assert (request.transport, request.nexthop) == ("error", "5.1.3 bad address syntax")
    await scene.store.close()


async def test_mail_that_is_too_old_is_returned_after_one_more_try(tmp_path):
    scene = a_house(tmp_path, "maximal_queue_lifetime = 3s\n")
    scene.agent.answer = lambda request: same(REFUSED)(request) if request.nexthop == "down.test" else None
    message = a_message("x@down.test", arrival=time.time() - 4)
    await take_in(scene, message)
    await until(lambda: len(scene.agent.requests) == 2 and not scene.qmgr.active)
    assert f"postfix/qmgr: {message.queue_id}: from=<a@example.com>, status=expired, returned to sender" in scene.lines
    ((_, results),) = scene.bouncer.failures
    assert results[0].outcome == Bounced(REFUSED.status)
    await scene.store.close()


async def test_with_soft_bounce_refused_mail_stays(tmp_path):
    scene = a_house(tmp_path, "soft_bounce = yes\n")
    scene.agent.answer = same(GONE)
    await take_in(scene, a_message("x@example.net"))
    await until(lambda: not scene.qmgr.active)
    assert any("dsn=4.1.1, status=SOFTBOUNCE (host x said: 550 5.1.1 gone)" in line for line in scene.lines)
    assert len(await listed(scene)) == 1
    assert not scene.bouncer.failures
    await scene.store.close()


async def test_the_sender_is_warned_once(tmp_path):
    scene = a_house(tmp_path, "delay_warning_time = 1s\n")
    scene.agent.answer = same(REFUSED)
    message = a_message("x@down.test", arrival=time.time() - 2)
    await take_in(scene, message)
    await until(lambda: not scene.qmgr.active)
    assert len(scene.bouncer.delays) == 1
    assert (await scene.store.get(message.queue_id)).warned
    runner = asyncio.ensure_future(scene.qmgr.run())
    await scene.qmgr.flush()
    await until(lambda: len(scene.agent.requests) == 2 and not scene.qmgr.active)
    assert len(scene.bouncer.delays) == 1
    await scene.qmgr.stop()
    await runner
    await scene.store.close()


async def test_notify_success_is_reported(tmp_path):
    scene = a_house(tmp_path)
    message = a_message("x@example.net")
    message.envelope = type(message.envelope)("a@example.com", (Recipient("x@example.net", notify=Notify.SUCCESS),))
    await take_in(scene, message)
    await until(lambda: not scene.qmgr.active)
    assert [r.outcome for r in scene.bouncer.successes[0][1]] == [SENT]
    await scene.store.close()


async def test_a_probe_is_answered_and_never_kept(tmp_path):
    scene = a_house(tmp_path)
    scene.agent.answer = same(REFUSED)
    told = []
    scene.qmgr.listen_to_probes(lambda message, results: told.append(results[0].outcome))
    await take_in(scene, a_message("x@example.net", trace=Trace.PROBE))
    await until(lambda: not scene.qmgr.active)
    assert told == [REFUSED]
    assert any("status=undeliverable (connect to" in line for line in scene.lines)
    assert await listed(scene) == []
    await scene.store.close()


async def test_a_dead_destination_is_left_alone_and_others_are_not_disturbed(tmp_path):
    scene = a_house(
        tmp_path, "smtp_destination_concurrency_failed_cohort_limit = 1\nsmtp_initial_destination_concurrency = 2\n"
    )
    scene.agent.delay = 0.01
    scene.agent.answer = lambda r: same(REFUSED, REFUSED.status)(r) if r.nexthop == "down.test" else None
    await take_in(scene, *(a_message("x@down.test") for _ in range(40)), *(a_message("x@up.test") for _ in range(5)))
    await until(lambda: not scene.qmgr.active)
    assert len([r for r in scene.agent.requests if r.nexthop == "down.test"]) < 6
    suspended = [line for line in scene.lines if "(delivery temporarily suspended: connect to down.test" in line]
    assert len(suspended) > 30
    assert suspended[0].startswith("postfix/error: ")
    assert len(await listed(scene)) == 40
    scene.agent.answer = None
    runner = asyncio.ensure_future(scene.qmgr.run())
    await scene.qmgr.flush()
    await until(
        lambda: len([r for r in scene.agent.requests if r.nexthop == "down.test"]) >= 40 and not scene.qmgr.active
    )
    assert await listed(scene) == []
    await scene.qmgr.stop()
    await runner
    await scene.store.close()


async def test_limits_of_destination_and_transport_hold(tmp_path):
    scene = a_house(tmp_path, "smtp_destination_concurrency_limit = 3\n", a_service("smtp", "smtp", maxproc=7))
    scene.agent.delay = 0.01
    await take_in(scene, *(a_message(f"x@d{n % 4}.test") for n in range(80)))
    await until(lambda: not scene.qmgr.active)
    assert len(scene.agent.requests) == 80
    assert scene.agent.most_to_one <= 3
    assert scene.agent.most <= 7


async def test_a_newsletter_does_not_delay_a_letter(tmp_path):
    scene = a_house(tmp_path, "smtp_destination_recipient_limit = 2\nsmtp_destination_concurrency_limit = 5\n")
    scene.agent.delay = 0.005
    await take_in(scene, a_message(*(f"r{n}@example.net" for n in range(2000))))
    await until(lambda: len(scene.agent.requests) > 20)
    letter = a_message("friend@example.net")
    await take_in(scene, letter)
    before = len(scene.agent.requests)
    await until(lambda: any(r.message is letter for r in scene.agent.requests))
    assert len(scene.agent.requests) - before < 30
    await until(lambda: not scene.qmgr.active, 20)
    assert await listed(scene) == []
    await scene.store.close()


async def test_a_newsletter_of_single_deliveries_does_not_delay_a_letter(tmp_path):
    scene = a_house(tmp_path, "", a_service("local", "local", maxproc=4))
    scene.agent.delay = 0.002
    await take_in(scene, a_message(*(f"r{n}@local.test" for n in range(2000))))
    await until(lambda: len(scene.agent.requests) > 20)
    letter = a_message("friend@local.test")
    await take_in(scene, letter)
    before = len(scene.agent.requests)
    await until(lambda: any(r.message is letter for r in scene.agent.requests))
    assert len(scene.agent.requests) - before < 30
    await until(lambda: not scene.qmgr.active, 20)
    await scene.store.close()


async def test_a_rate_delay_spaces_deliveries(tmp_path):
    scene = a_house(tmp_path, "smtp_destination_rate_delay = 1s\n")
    begin = time.monotonic()
    await take_in(scene, a_message("x@a.test"), a_message("x@a.test"), a_message("x@b.test"))
    await until(lambda: len(scene.agent.requests) == 2)
    assert {r.nexthop for r in scene.agent.requests} == {"a.test", "b.test"}
    await until(lambda: not scene.qmgr.active)
    assert time.monotonic() - begin >= 1
    await scene.store.close()


async def test_more_than_the_active_queue_holds_is_delivered_from_the_store(tmp_path):
    scene = a_house(tmp_path, "qmgr_message_active_limit = 10\n")
    scene.agent.delay = 0.001
    runner = asyncio.ensure_future(scene.qmgr.run())
    await asyncio.gather(*(take_in(scene, a_message("x@a.test")) for _ in range(300)))
    most = len(scene.qmgr.active)
    await until(lambda: len(scene.agent.requests) == 300 and not scene.qmgr.active)
    assert most <= 10
    assert len({r.message.queue_id for r in scene.agent.requests}) == 300
    assert await listed(scene) == []
    await scene.qmgr.stop()
    await runner
    await scene.store.close()


async def test_mail_on_hold_is_not_delivered_and_withdrawn_mail_no_further(tmp_path):
    scene = a_house(tmp_path, "smtp_destination_recipient_limit = 1\nsmtp_destination_concurrency_limit = 1\n")
    held = a_message("x@a.test")
    held.hold = True
    await take_in(scene, held)
    assert not scene.qmgr.active
    scene.agent.delay = 0.02
    big = a_message(*(f"r{n}@a.test" for n in range(50)))
    # each recipient is a destination of its own with a recipient limit of 1
    await take_in(scene, big)
    await until(lambda: len(scene.agent.requests) >= 1)
    await scene.store.delete([big.queue_id])
    scene.qmgr.withdraw([big.queue_id])
    await until(lambda: not scene.qmgr.active)
    assert [row.queue_id for row in await listed(scene)] == [held.queue_id]
    await scene.store.close()


async def test_a_restart_goes_on_with_what_was_in_the_queue(tmp_path):
    scene = a_house(tmp_path)
    await scene.store.put(a_message("x@a.test"))
    runner = asyncio.ensure_future(scene.qmgr.run())
    await until(lambda: len(scene.agent.requests) == 1 and not scene.qmgr.active)
    assert await listed(scene) == []
    await scene.qmgr.stop()
    await runner
    await scene.store.close()


async def test_several_results_for_an_expanded_recipient_any_deferral_keeps_it(tmp_path):
    scene = a_house(tmp_path)
    outcome = Sent(Status("2.0.0", 0, "delivered"), "local")
    scene.agent.answer = lambda r: Report((Result(0, outcome), Result(0, REFUSED)))
    await take_in(scene, a_message("list@a.test"))
    await until(lambda: not scene.qmgr.active)
    assert len(await listed(scene)) == 1
    await scene.store.close()


async def test_a_newsletter_for_50000_leaves_room_for_letters(tmp_path):
    scene = a_house(tmp_path, "smtp_destination_concurrency_limit = 5\n")
    scene.agent.delay = 0.001
    await take_in(scene, a_message(*(f"r{n}@example.net" for n in range(50_000))))
    await until(lambda: len(scene.agent.requests) > 5, 30)
    letters = [a_message(*(f"friend{n}@example.net" for n in range(count))) for count in (2, 15)]
    before = time.monotonic()
    await take_in(scene, *letters)
    await until(lambda: {letter.queue_id for letter in letters} & scene.qmgr.active.keys() == set(), 20)
    took = time.monotonic() - before
    assert len(scene.qmgr.active) == 1, "the newsletter is still on its way"
    assert took < 3
    await until(lambda: not scene.qmgr.active, 60)
    assert await listed(scene) == []
    await scene.store.close()


async def test_what_was_deferred_while_the_clock_was_ahead_is_tried_in_time(tmp_path):
    scene = a_house(tmp_path)
    late = a_message("x@example.net")
    late.due = time.time() + 365 * 86400
    await scene.store.put(late)
    soon = a_message("y@example.net")
    soon.due = time.time() + 600
    await scene.store.put(soon)
    runner = asyncio.ensure_future(scene.qmgr.run())
    await until(lambda: scene.agent.requests)
    await until(lambda: not scene.qmgr.active)
    assert [row.queue_id for row in await listed(scene)] == [soon.queue_id]
    await scene.qmgr.stop()
    await runner
    await scene.store.close()


async def test_a_clock_that_is_set_back_keeps_no_destination_dead(tmp_path, monkeypatch):
    scene = a_house(tmp_path, "minimal_backoff_time = 1s\n")
    scene.agent.answer = same(REFUSED, REFUSED.status)
    await take_in(scene, a_message("x@down.test"))
    await until(lambda: not scene.qmgr.active)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86400)
    scene.agent.answer = None
    await asyncio.sleep(1.1)
    await take_in(scene, a_message("y@down.test", arrival=now - 86400))
    await until(lambda: not scene.qmgr.active)
    assert [r.targets[0].recipient.address for r in scene.agent.requests] == ["x@down.test", "y@down.test"]
    await scene.store.close()


async def test_with_verp_each_recipient_has_an_envelope_sender_of_its_own(tmp_path):
    scene = a_house(tmp_path)
    await take_in(scene, a_message("joe@example.net", "sue@example.net", sender="list@example.org", verp="+="))
    await until(lambda: not scene.qmgr.active)
    senders = sorted(request.message.envelope.sender for request in scene.agent.requests)
    assert senders == ["list+joe=example.net@example.org", "list+sue=example.net@example.org"]
    assert await listed(scene) == []


async def test_an_alias_that_was_expanded_is_reported_once_to_who_asked(tmp_path):
    scene = a_house(tmp_path)
    asked = Recipient("list@example.org", notify=Notify.SUCCESS)
    scene.agent.answer = same(REFUSED)
    message = a_message("joe@example.net", expanded=(asked,))
    await take_in(scene, message)
    await until(lambda: not scene.qmgr.active)
    scene.agent.answer = None
    await scene.qmgr.flush()
    running = asyncio.ensure_future(scene.qmgr.run())
    await until(lambda: len(scene.agent.requests) == 2 and not scene.qmgr.active)
    await scene.qmgr.stop()
    await running
    [(_, results)] = scene.bouncer.successes
    assert [(r.logged_recipient, r.outcome.status.text) for r in results] == [(asked, "alias expanded")]
    await scene.store.close()


async def test_a_message_that_cannot_be_read_is_put_on_hold_and_others_go_on(tmp_path):
    scene = a_house(tmp_path)
    bad, good = a_message("x@example.net"), a_message("y@example.net")
    for message in (bad, good):
        await scene.store.put(message)
    scene.store.file.connection.execute("UPDATE message SET envelope = '{' WHERE queue_id = ?", (bad.queue_id,))
    runner = asyncio.ensure_future(scene.qmgr.run())
    await until(lambda: scene.agent.requests and not scene.qmgr.active)
    assert [(row.queue_id, row.queue.value, row.recipients) for row in await listed(scene)] == [
        (bad.queue_id, "hold", ())
    ]
    assert [line for line in scene.lines if "cannot be read" in line] == [
        f"postfix/qmgr: error: {bad.queue_id}: cannot be read from the queue, put on hold"
    ]
    await scene.qmgr.stop()
    await runner
    await scene.store.close()
