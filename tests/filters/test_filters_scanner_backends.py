"""Daemons that answer, hang, talk rubbish, hang up, come back: time limits, rest, and a probe before more mail."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from posthouse.errors import ProtocolError
from posthouse.filters.scanner.backends import AllDown, Group, Probe, Question
from posthouse.filters.scanner.rules import BackendRules


@asynccontextmanager
async def daemon(*moods, asked=None):
    """Each connection gets the next mood (the last one again and again): bytes are said, "hang" says nothing, "close"
    hangs up before anything is read, "early" answers before all is read.
    """
    moods, tasks = list(moods), set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        mood = moods.pop(0) if len(moods) > 1 else moods[0]
        try:
            if mood == "early":
                writer.write(b"fine")
            elif mood != "close":
                data = await reader.read()
                if asked is not None:
                    asked.append(data)
                if mood == "hang":
                    await asyncio.sleep(60)
                writer.write(mood)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"inet:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def parse(data):
    if data != b"fine":
        raise ProtocolError(f"not fine: {data[:20]!r}")
    return "fine"


def pong(data):
    if data != b"PONG":
        raise ProtocolError("no pong")


def group(*addresses, warned, clock=None, limit=0.3, failures=2):
    rules = BackendRules(addresses, limit, 0, "defer", failures, 30)
    extra = {} if clock is None else {"clock": lambda: clock[0]}
    return Group("clamd", rules, Probe(b"PING", pong), warned.append, **extra)


QUESTION = Question(lambda: [b"a" * 100_000, b"b"], 1000)


async def test_an_answer_is_an_answer_also_where_the_daemon_did_not_read_all():
    async with daemon(b"fine", "early") as address:
        asking = group(address, warned=[], limit=20)
        big = Question(lambda: [b"x" * 65536] * 200, 1000)
        assert [await asking.ask(big, parse), await asking.ask(big, parse)] == ["fine", "fine"]


@pytest.mark.parametrize(
    ("mood", "words"),
    [("hang", "no answer in time"), (b"rubbish", "not fine"), ("close", "clamd"), (b"x" * 5000, "not fine")],
)
async def test_a_daemon_that_fails_is_named_with_the_reason(mood, words):
    warned = []
    async with daemon(mood) as address:
        with pytest.raises(AllDown, match=words):
            await group(address, warned=warned).ask(QUESTION, parse)
    assert address in warned[0]


async def test_the_next_one_is_asked_and_nobody_listens_is_a_failure_too(tmp_path):
    warned = []
    async with daemon(b"fine") as address:
        assert (
            await group(f"unix:{tmp_path}/none", f"{tmp_path}/none", address, warned=warned).ask(QUESTION, parse)
            == "fine"
        )
    assert len(warned) == 2


async def test_after_failures_it_rests_is_probed_and_comes_back():
    warned, asked, clock = [], [], [0.0]
    async with daemon(b"bad", b"bad", b"no pong", b"PONG", b"fine", asked=asked) as address:
        asking = group(address, warned=warned, clock=clock)
        for _ in range(3):
            with pytest.raises(AllDown):
                await asking.ask(QUESTION, parse)
        assert len(asked) == 2  # the third time it rested
        assert f"clamd {address} rests for 30 s" in warned
        clock[0] = 31.0
        with pytest.raises(AllDown):
            await asking.ask(QUESTION, parse)
        assert asked[2] == b"PING"
        clock[0] = 62.0
        assert await asking.ask(QUESTION, parse) == "fine"
        assert asked[3] == b"PING"
        assert f"clamd {address} answers again" in warned


async def test_one_failure_among_answers_is_no_reason_to_rest():
    warned = []
    async with daemon(b"bad", b"fine", b"bad", b"fine") as address:
        asking = group(address, warned=warned)
        for _ in range(2):
            with pytest.raises(AllDown):
                await asking.ask(QUESTION, parse)
            assert await asking.ask(QUESTION, parse) == "fine"
    assert not any("rests" in line for line in warned)


async def test_while_one_message_probes_the_others_do_not_wait():
    clock, warned = [0.0], []
    async with daemon(b"bad", b"bad", "hang") as address:
        asking = group(address, warned=warned, clock=clock)
        for _ in range(2):
            with pytest.raises(AllDown):
                await asking.ask(QUESTION, parse)
        clock[0] = 31.0
        probing = asyncio.ensure_future(asking.ask(QUESTION, parse))
        await asyncio.sleep(0.05)
        with pytest.raises(AllDown, match="rest"):
            await asyncio.wait_for(asking.ask(QUESTION, parse), 1)
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        clock[0] = 32.0
        assert not asking.backends[0].is_probed
