"""posthouse queue against a queue that runs, and against one that does not."""

from __future__ import annotations

import time

import pytest
from queue_commands_scene import WAITS, a_house, a_message, deferred, run, until

from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.queue.causes import normalised
from posthouse.queue.selection import Selection, age_in_seconds
from posthouse.queue.store import Settlement
from posthouse.services.delivery import Report, Result


def because(text):
    return Deferred(Status("4.4.1", 0, text))


def reasons(request):
    """One host's answer for one.test, other causes elsewhere."""
    answers = {
        "one.test": "host mx1.one.test[192.0.2.7] said: 450 4.2.0 <{0}>: Greylisted for 291 seconds",
        "two.test": "connect to mx.two.test[192.0.2.9]:25: Connection refused",
    }
    address = request.targets[0].recipient.address
    text = answers[address.rpartition("@")[2]].format(address)
    return Report(tuple(Result(target.index, because(text)) for target in request.targets))


@pytest.fixture
async def waiting(scene):
    """Three messages for one.test, one of them old, and one for two.test."""
    scene.agent.answer = reasons
    old = a_message("a@one.test", arrival=time.time() - 7200)
    messages = [old, a_message("b@one.test"), a_message("c@one.test", sender=""), a_message("d@two.test")]
    await deferred(scene, *messages)
    scene.messages = messages
    return scene


async def queue(scene, *words):
    return await run("posthouse_queue", *words, scene=scene)


async def ids(scene, *words):
    _, out, _ = await queue(scene, "delete", "--dry-run", *words)
    return set(out.splitlines()[1:])


async def test_it_counts_by_destination_and_by_cause(waiting):
    code, out, err = await queue(waiting)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["3", "3", "51", "B", "2h", "one.test"] in lines
    assert "host mxN.one.test[...] said: 450 4.2.0 <...>: Greylisted for N seconds" in out
    assert "connect to mx.two.test[...]:25: Connection refused" in out
    assert out.endswith("\n4 messages, 68 B.\n")


async def test_an_empty_queue(scene):
    assert await queue(scene) == (0, "No mail waits.\n", "")
    assert await queue(scene, "delete", "--all", "--yes") == (0, "0 messages to delete.\n", "")


async def test_show_tells_whole_reasons(waiting):
    _, out, _ = await queue(waiting, "show", "--destination", "two.test")
    queue_id = waiting.messages[3].queue_id
    assert out.splitlines()[0].startswith(f"{queue_id}  deferred  17 B  ")
    assert out.splitlines()[1] == "    to <d@two.test>: connect to mx.two.test[192.0.2.9]:25: Connection refused"


@pytest.mark.parametrize(
    ("words", "which"),
    [
        (["--destination", "one.test"], {0, 1, 2}),
        (["--destination", "*.test"], {0, 1, 2, 3}),
        (["--sender", "<>"], {2}),
        (["--sender", "A@example.com"], {0, 1, 3}),
        (["--recipient", "?@two.test"], {3}),
        (["--cause", "greylisted for 291"], {0, 1, 2}),
        (["--cause", "Greylisted for N seconds", "--older", "1h"], {0}),
        (["--cause", "refused", "--destination", "one.test"], set()),
        (["--queue", "deferred,hold", "--older", "90m"], {0}),
        (["--queue", "hold"], set()),
    ],
)
async def test_a_filter_chooses(waiting, words, which):
    assert await ids(waiting, *words) == {waiting.messages[number].queue_id for number in which}


async def test_without_a_filter_and_without_agreement_nothing_is_changed(waiting):
    code, _, err = await queue(waiting, "delete")
    assert (code, "--all for the whole queue" in err) == (64, True)
    code, out, _ = await queue(waiting, "delete", "--destination", "one.test")
    assert (code, out.splitlines()[0]) == (1, "3 messages to delete.")
    assert out.endswith("Nothing was changed.\n")
    assert len(await ids(waiting, "--all")) == 4


async def test_hold_release_and_delete(waiting):
    _, out, _ = await queue(waiting, "hold", "--destination", "one.test", "--yes")
    assert out == "3 messages to put on hold.\n3 messages put on hold.\n"
    _, out, _ = await queue(waiting, "hold", "--destination", "one.test", "--yes")
    assert out == "0 messages to put on hold.\n"
    waiting.agent.answer = None
    _, out, _ = await queue(waiting, "release", "--older", "1h", "--yes")
    assert out == "1 message to release.\n1 message released.\n"
    await until(lambda: any("removed" in line for line in waiting.lines))
    _, out, _ = await queue(waiting, "delete", "--queue", "hold", "--yes")
    assert out == "2 messages to delete.\n2 messages deleted.\n"
    assert await ids(waiting, "--all") == {waiting.messages[3].queue_id}


async def test_flush_tries_only_what_was_chosen(waiting):
    before = len(waiting.agent.requests)
    _, out, _ = await queue(waiting, "flush", "--cause", "refused", "--yes")
    assert out == "1 message to try now.\n1 message to be tried now.\n"
    await until(lambda: len(waiting.agent.requests) == before + 1)
    assert waiting.agent.requests[-1].message.queue_id == waiting.messages[3].queue_id


async def test_queue_ids_can_be_named(waiting):
    one = waiting.messages[1].queue_id
    assert await ids(waiting, one) == {one}


async def test_it_works_while_the_mail_system_is_down(tmp_path):
    for folder in ("public", "private", "maildrop"):
        (tmp_path / "queue" / folder).mkdir(parents=True)
    scene = a_house(tmp_path)
    one, two = a_message("a@one.test"), a_message("b@two.test")
    await scene.store.put(one)
    await scene.store.put(two)
    far = time.time() + 10_000
    await scene.store.settle(Settlement(one.queue_id, deferred={0: WAITS}, due=far))
    await scene.store.close()
    assert (await queue(scene, "flush", "--destination", "one.test", "-y"))[1].endswith("1 message to be tried now.\n")
    assert (await queue(scene, "delete", "--destination", "two.test", "-y"))[1].endswith("1 message deleted.\n")
    scene = a_house(tmp_path)
    assert [message.queue_id for message in await scene.store.due(time.time(), 10, set())] == [one.queue_id]
    await scene.store.close()


@pytest.mark.parametrize("words", [["--queue", "nosuch"], ["--older", "soon"], ["devour"]])
async def test_a_mistake_is_no_filter(scene, words):
    code, out, err = await queue(scene, *words)
    assert (code, out) == (64, "")
    assert words[-1] in err


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("host mx1.a.test[192.0.2.1] said: 421 4.7.0 try later 12", "host mx2.a.test[192.0.2.22] said: 421 4.7.0 try later 7"),
        ("<a@b.test>: over quota", "<someone.else@b.test>: over quota"),
        ("busy at 10:11:12", "busy at 23:59:00"),
        ("queued as 4F3A2B1C9D", "queued as 91AB00C3D4"),
        ("connect to h[2001:db8::1]:25: No route", "connect to h[2001:db8::ff:2]:25: No route"),
    ],
)  # fmt: skip
def test_equal_causes_read_the_same(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("host a.test[192.0.2.1] said: 450 4.2.1 no", "host a.test[192.0.2.1] said: 451 4.3.0 no"),
        ("connect to h[192.0.2.1]:25: Connection refused", "connect to h[192.0.2.1]:587: Connection refused"),
        ("Name service error for name=a.test", "Name service error for name=b.test"),
    ],
)
def test_different_causes_do_not(one, other):
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2", 7200), ("1.5h", 5400), ("1w", 604800)])
def test_ages(text, seconds):
    assert age_in_seconds(text) == seconds


def test_selections_without_words_mean_everything():
    assert Selection().is_everything
    assert not Selection(older=1.0).is_everything
