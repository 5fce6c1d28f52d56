"""What every queue store promises. A class, run for each backend; the crash tests kill a process at random moments."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_scene import a_message

from posthouse.errors import TemporaryFailure
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Notify, Origin, Recipient, Trace
from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.queue import record
from posthouse.queue.queue_id import QueueIds, row_number
from posthouse.queue.spool import StoreInUse
from posthouse.queue.sqlite import SqliteStore
from posthouse.queue.store import QueueName, Settlement

WAITS = Deferred(Status("4.4.1", 451, "connection refused", "why"), "x[192.0.2.1]:25", "dns; x", "smtp; 451 no")


def open_sqlite(tmp_path):
    return SqliteStore(f"{tmp_path}/posthouse/queue-0.sqlite", f"{tmp_path}/posthouse/spool")


@pytest.fixture(params=[open_sqlite])
async def opened(request, tmp_path):
    """(store, a function that closes it and opens it again)."""
    stores = [request.param(tmp_path)]

    async def again():
        await stores[-1].close()
        stores.append(request.param(tmp_path))
        return stores[-1]

    yield stores[0], again
    await stores[-1].close()


async def rows(store):
    return [row async for row in store.list()]


class TestQueueStore:
    async def test_what_is_put_comes_back_as_it_was_also_after_a_restart(self, opened):
        store, again = opened
        message = a_message("x@example.net", "y@example.org", envid="E1", ret="HDRS", encoding="8BITMIME", verp="+=")
        await store.put(message)
        store = await again()
        (found,) = await store.due(time.time(), 10, set())
        message.due = message.arrival
        assert found == message

    async def test_a_finished_message_is_gone_with_its_progress(self, opened):
        store, _ = opened
        message = a_message("a@x.test", "b@x.test")
        await store.put(message)
        await store.settle(Settlement(message.queue_id, frozenset({0})))
        await store.settle(Settlement(message.queue_id, frozenset({1})))
        assert await store.get(message.queue_id) is None
        assert await rows(store) == []

    async def test_progress_adds_up_and_later_records_count_over_earlier_ones(self, opened):
        store, again = opened
        message = a_message("a@x.test", "b@x.test", "c@x.test")
        await store.put(message)
        await store.settle(Settlement(message.queue_id, frozenset({0}), {1: WAITS}))
        await store.settle(Settlement(message.queue_id, frozenset({1}), {2: WAITS}, 99.0, warned=True, attempts=1))
        store = await again()
        found = await store.get(message.queue_id)
        assert (found.done, found.deferred, found.due, found.warned, found.attempts) == (
            {0, 1},
            {2: WAITS},
            99.0,
            True,
            1,
        )
        (listed,) = await rows(store)
        assert listed.queue is QueueName.DEFERRED
        assert listed.recipients == (("c@x.test", "connection refused"),)

    async def test_children_are_put_with_the_settlement(self, opened):
        store, _ = opened
        message, notice = a_message("a@x.test"), a_message("sender@x.test")
        await store.put(message)
        await store.settle(Settlement(message.queue_id, frozenset({0}), children=(notice,), finished=True))
        assert [row.queue_id for row in await rows(store)] == [notice.queue_id]

    async def test_due_gives_the_longest_waiting_first_and_leaves_out_what_is_excluded_or_on_hold(self, opened):
        store, _ = opened
        late, early, later, held = (a_message("a@x.test", arrival=when) for when in (20.0, 10.0, 30.0, 5.0))
        held.hold = True
        for message in (late, early, later, held):
            await store.put(message)
        assert [m.queue_id for m in await store.due(25.0, 10, set())] == [early.queue_id, late.queue_id]
        assert [m.queue_id for m in await store.due(25.0, 1, {early.queue_id})] == [late.queue_id]
        assert await store.next_due() == 10.0

    async def test_hold_release_expire_and_delete(self, opened):
        store, _ = opened
        one, two = a_message("a@x.test"), a_message("b@x.test")
        await store.put(one)
        await store.put(two)
        assert await store.hold([one.queue_id, "ABCDEF1234"]) == 1
        assert await store.hold([one.queue_id]) == 0
        assert [m.queue_id for m in await store.due(time.time(), 10, set())] == [two.queue_id]
        assert await store.release([one.queue_id, two.queue_id]) == 1
        assert await store.expire([one.queue_id]) == 1
        assert (await store.get(one.queue_id)).forced_expire
        assert await store.delete([one.queue_id, two.queue_id]) == 2
        assert await rows(store) == []

    async def test_flushing_makes_all_due_that_are_not_on_hold(self, opened):
        store, _ = opened
        messages = [a_message("a@x.test") for _ in range(5)]
        for message in messages:
            await store.put(message)
            await store.settle(Settlement(message.queue_id, deferred={0: WAITS}, due=9e9))
        await store.hold([messages[0].queue_id])
        assert await store.due(time.time(), 10, set()) == []
        assert await store.set_due([messages[1].queue_id], 1.0) == 1
        assert await store.set_all_due(1.0) == 3
        assert len(await store.due(time.time(), 10, set())) == 4

    async def test_requeued_mail_stays_until_it_is_settled(self, opened):
        store, again = opened
        message = a_message("a@x.test")
        await store.put(message)
        assert [m.queue_id for m in await store.requeue([message.queue_id])] == [message.queue_id]
        assert await store.due(time.time(), 10, set()) == []
        store = await again()
        assert [row.queue for row in await rows(store)] == [QueueName.MAILDROP]
        assert [m.queue_id for m in await store.requeue([])] == [message.queue_id]
        await store.settle(Settlement(message.queue_id, finished=True))
        assert await store.requeue([]) == []

    async def test_requeued_mail_is_replaced_by_a_put_under_its_id(self, opened):
        store, _ = opened
        message = a_message("a@x.test", "b@x.test")
        await store.put(message)
        await store.settle(Settlement(message.queue_id, frozenset({0}), {1: WAITS}, 9e9))
        await store.requeue([message.queue_id])
        again = a_message("b@x.test")
        again.queue_id = message.queue_id
        await store.put(again)
        (row,) = await rows(store)
        assert (row.queue, row.recipients) == (QueueName.INCOMING, (("b@x.test", ""),))

    async def test_settling_what_is_not_there_does_nothing(self, opened):
        store, _ = opened
        await store.settle(Settlement("ABCDEF1234", frozenset({0}), {1: WAITS}, 5.0))
        assert await rows(store) == []

    async def test_the_same_id_twice_is_refused_and_the_first_stays(self, opened):
        store, _ = opened
        message, other = a_message("a@x.test"), a_message("b@x.test")
        await store.put(message)
        answers = await asyncio.gather(store.put(message), store.put(other), return_exceptions=True)
        assert isinstance(answers[0], TemporaryFailure)
        assert answers[1] is None
        assert len(await rows(store)) == 2

    async def test_a_body_in_a_file_goes_with_its_message(self, opened, tmp_path):
        store, again = opened
        path = tmp_path / "posthouse" / "spool" / "big1"
        path.write_bytes(b"--\n" + b"x" * 100_000)
        message = a_message("a@x.test")
        message.content = Content(b"Subject: x\n", FilePart(str(path), 2, 100_001))
        await store.put(message)
        store = await again()
        assert (await store.get(message.queue_id)).content == message.content
        await store.settle(Settlement(message.queue_id, frozenset({0}), finished=True))
        assert not path.exists()

    async def test_body_files_of_no_message_are_removed_at_the_start(self, opened, tmp_path):
        _, again = opened
        path = tmp_path / "posthouse" / "spool" / "left"
        path.write_bytes(b"x")
        await again()
        assert not path.exists()

    async def test_a_store_has_one_owner(self, opened, tmp_path):
        with pytest.raises(StoreInUse):
            open_sqlite(tmp_path)

    async def test_listing_is_complete_and_in_order_of_arrival(self, opened):
        store, _ = opened
        messages = [a_message("a@x.test") for _ in range(1203)]
        await asyncio.gather(*(store.put(message) for message in messages))
        assert [row.queue_id for row in await rows(store)] == [message.queue_id for message in messages]


async def test_a_full_disk_refuses_mail_and_service_goes_on_when_there_is_room(tmp_path):
    store = open_sqlite(tmp_path)
    kept = a_message("a@x.test")
    await store.put(kept)
    pages = store.file.connection.execute("PRAGMA page_count").fetchone()[0]
    store.file.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    answers = await asyncio.gather(
        *(store.put(a_message("b@x.test", body=b"\n" + b"x" * 50_000)) for _ in range(5)),
        store.put(a_message("c@x.test")),
        return_exceptions=True,
    )
    assert [a.status.dsn for a in answers[:5]] == ["4.3.1"] * 5
    assert answers[0].status.code == 452
    store.file.connection.execute("PRAGMA max_page_count = 1000000")
    assert len(await rows(store)) == 1 + (answers[5] is None)
    await store.put(a_message("d@x.test", body=b"\n" + b"x" * 50_000))
    await store.settle(Settlement(kept.queue_id, frozenset({0})))
    await store.close()


WORKER = textwrap.dedent(
    """
    import asyncio, os, random, sys, time
    from queue_scene import a_message
    from posthouse.mail.outcome import Deferred
    from posthouse.mail.status import Status
    from posthouse.queue.sqlite import SqliteStore
    from posthouse.queue.store import Settlement

    store = None

    def say(word, queue_id):
        os.write(1, f"{word} {queue_id}\\n".encode())

    async def one():
        while True:
            message = a_message("a@x.test", "b@x.test", body=b"\\n" + b"x" * random.choice((10, 3000, 30000)))
            await store.put(message)
            say("put", message.queue_id)
            if random.random() < 0.5:
                notice = a_message("n@x.test")
                say("settling", f"{message.queue_id} {notice.queue_id}")
                await store.settle(Settlement(message.queue_id, frozenset((0, 1)), children=(notice,)))
                say("settled", message.queue_id)
            elif random.random() < 0.5:
                wait = Deferred(Status("4.0.0", 0, "later"))
                await store.settle(Settlement(message.queue_id, frozenset((0,)), {1: wait}, 5.0))
                say("progressed", message.queue_id)

    async def main():
        global store
        store = SqliteStore(sys.argv[1] + "/posthouse/queue-0.sqlite", sys.argv[1] + "/posthouse/spool")
        await asyncio.gather(*(one() for _ in range(8)))

    asyncio.run(main())
    """
)


async def crash_once(tmp_path, told):
    """Let a worker run for a random time and kill it; check the store against all that was ever said."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE, env=environment)
    first = process.stdout.readline()
    time.sleep(random.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    for line in [first, *process.stdout.read().splitlines()]:
        word, queue_id, *more = line.decode().split()
        told[queue_id] = (word, more[0] if more else told.get(queue_id, ("", ""))[1])
    process.wait()
    process.stdout.close()
    store = open_sqlite(tmp_path)
    assert store.file.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    there = {row.queue_id: row async for row in store.list()}
    for queue_id, (word, notice) in told.items():
        if word in ("put", "progressed"):
            assert queue_id in there, (word, queue_id)
        if word == "progressed":
            assert there[queue_id].recipients == (("b@x.test", "later"),)
        if word == "settled":
            assert queue_id not in there
        if notice:
            assert (queue_id in there) != (notice in there), "a settlement and its notice go together"
    orphaned = store.file.connection.execute(
        "SELECT count(*) FROM progress WHERE message NOT IN (SELECT id FROM message)"
    )
    assert orphaned.fetchone() == (0,)
    await store.close()


@pytest.mark.timeout(300)
async def test_what_was_acknowledged_survives_kill_9(tmp_path):
    told: dict[str, tuple[str, str]] = {}
    for _ in range(int(os.environ.get("CRASH_ROUNDS", "50"))):
        await crash_once(tmp_path, told)
    assert len(told) > 100


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(
    st.builds(
        Envelope,
        st.text(max_size=20),
        st.lists(
            st.builds(Recipient, texts, texts, texts, st.sampled_from([Notify.DEFAULT, Notify.NEVER, Notify.SUCCESS])),
            max_size=5,
        ).map(tuple),
        sender_fullname=texts,
        envid=texts,
        smtputf8=st.booleans(),
        origin=st.builds(Origin, texts, texts, helo_name=texts, source=st.sampled_from(["LOCAL", "REMOTE"])),
        trace=st.sampled_from([Trace.NONE, Trace.PROBE]),
        rewrite_context=st.sampled_from(["local", "remote", ""]),
    )
)
def test_an_envelope_is_read_as_it_was_written(envelope):
    assert record.read_envelope(envelope.sender, record.write_envelope(envelope)) == envelope


def test_bytes_that_are_no_utf_8_survive():
    envelope = Envelope("a\udcff@x", (Recipient("b\udcfe@x"),))
    text = record.write_envelope(envelope)
    text.encode()
    sender = record.read_sender(record.write_sender(envelope.sender))
    assert record.read_envelope(sender, text) == envelope


def test_queue_ids_are_unique_and_can_be_told_apart_by_readers_of_logs():
    import re

    known = re.compile(r"\b(?=[0-9]*[A-F])(?=[A-F]*[0-9])[0-9A-F]{6,15}\b")
    makers = (QueueIds(0), QueueIds(31))
    ids = [maker.new() for maker in makers for _ in range(3000)]
    assert len(set(ids)) == len({row_number(name) for name in ids}) == 6000
    assert all(known.fullmatch(name) and 10 <= len(name) <= 14 for name in ids)


def test_long_queue_ids_have_the_form_of_postfix():
    import re

    ids = QueueIds(3, long=True)
    names = [ids.new() for _ in range(1000)]
    assert all(
        re.fullmatch(r"[0-9BCDFGHJ-NP-TV-Zbcdfghj-np-tv-z]{10}z[0-9BCDFGHJ-NP-TV-Zbcdfghj-np-tv-y]+", n) for n in names
    )
    assert len({row_number(name) for name in names}) == 1000
    assert sorted(names) == names


def test_a_store_of_a_later_version_is_left_alone(tmp_path):
    store = tmp_path / "posthouse" / "queue-0.sqlite"
    store.parent.mkdir()
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(sqlite3.DatabaseError, match="later version"):
        open_sqlite(tmp_path)


async def test_without_the_reserve_no_mail_is_taken_and_what_was_delivered_is_recorded(tmp_path, monkeypatch):
    store = open_sqlite(tmp_path)
    kept = a_message("a@x.test")
    await store.put(kept)
    monkeypatch.setattr("posthouse.queue.reserve._INTERVAL_S", 0.05)

    def no_room(*_):
        raise OSError(28, "No space left on device")

    store.file._reserve.give_up()
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", no_room)
        await asyncio.sleep(0.1)
        with pytest.raises(TemporaryFailure) as refused:
            await store.put(a_message("b@x.test"))
        assert (refused.value.status.dsn, refused.value.status.code) == ("4.3.1", 452)
        await store.settle(Settlement(kept.queue_id, frozenset({0})))
        assert await rows(store) == []
    await asyncio.sleep(0.1)
    await store.put(a_message("c@x.test"))
    assert len(await rows(store)) == 1
    await store.close()


async def test_only_what_would_wait_too_long_is_brought_forward(tmp_path):
    store = open_sqlite(tmp_path)
    for due in (50.0, 150.0, 250.0):
        message = a_message("a@x.test")
        message.due = due
        await store.put(message)
    assert await store.bring_forward(200.0, 100.0) == 1
    assert sorted(row.due for row in await rows(store)) == [50.0, 100.0, 150.0]
    await store.close()


async def test_progress_of_a_message_with_open_recipients_is_kept_without_looking(tmp_path):
    store = open_sqlite(tmp_path)
    message = a_message("a@x.test", "b@x.test")
    await store.put(message)
    await store.settle(Settlement(message.queue_id, frozenset({0}), unfinished=True))
    assert (await store.get(message.queue_id)).done == {0}
    await store.delete([message.queue_id])
    await store.settle(Settlement(message.queue_id, frozenset({1}), unfinished=True))
    assert store.file.connection.execute("SELECT count(*) FROM progress").fetchone() == (0,)
    await store.close()
