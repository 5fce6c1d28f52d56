import asyncio
import contextlib
import sqlite3
import threading

import pytest

from posthouse.errors import LookupFailed
from posthouse.lookup import socket_stream
from posthouse.lookup.table import Options, make_table


@contextlib.asynccontextmanager
async def serving(answer, settings, spec):
    """A table and its server on a free port; the list grows by a writer with every connection."""
    writers = []

    async def talk(reader, writer):
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while reply := await answer(reader):
                writer.write(reply)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    table = make_table(Options(spec.format(server.sockets[0].getsockname()[1]), settings))
    yield table, writers
    table._close()
    table._drop_streams()
    for writer in writers:
        writer.close()
    server.close()
    await asyncio.sleep(0.1)


async def tcp(reader):
    line = await reader.readline()
    if b"known" in line:
        return b"200 he%20llo\n"
    return b"400 later\n" if b"temp" in line else b"999 x\n" if b"bad" in line else line and b"500 no\n"


async def socketmap(reader):
    length = int((await reader.readuntil(b":"))[:-1])
    text = (await reader.readexactly(length + 1))[:-1]
    reply = b"OK the value" if b" known" in text else b"TEMP later" if b"temp" in text else b"NOTFOUND "
    return b"nonsense" if b"bad" in text else b"%d:%s," % (len(reply), reply)


@pytest.mark.parametrize(
    ("answer", "spec", "value"),
    [(tcp, "tcp:127.0.0.1:{}", "he llo"), (socketmap, "socketmap:inet:127.0.0.1:{}:m", "the value")],
)
async def test_one_connection_serves_many_lookups(settings, said, answer, spec, value):
    async with serving(answer, settings, spec) as (table, connections):
        assert table.blocking
        assert await asyncio.gather(*(table.find("known") for _ in range(20))) == [value] * 20
        assert await table.find("nope") is None
        assert len(connections) == 1
        for word in ("temp", "bad"):
            with pytest.raises(LookupFailed):
                await table.find(word)
        assert await table.find("known") == value
        assert await asyncio.to_thread(table.lookup, "known") == value


async def test_a_connection_that_was_closed_meanwhile_is_made_anew(settings, said):
    async with serving(tcp, settings, "tcp:127.0.0.1:{}") as (table, connections):
        assert await table.find("known") == "he llo"
        connections[0].close()
        await asyncio.sleep(0.05)
        assert await table.find("known") == "he llo"
        assert len(connections) == 2


async def test_a_server_that_says_nothing_is_given_up(settings, said, monkeypatch):
    async def silent(reader):
        await reader.read()

    monkeypatch.setattr(socket_stream, "TIMEOUT_S", 0.1)
    async with serving(silent, settings, "tcp:127.0.0.1:{}") as (table, _):
        with pytest.raises(LookupFailed, match="timed out"):
            await table.find("known")


async def test_no_server_is_a_failure(settings, said):
    table = make_table(Options("tcp:127.0.0.1:1", settings))
    with pytest.raises(LookupFailed, match="Connection refused"):
        await table.find("k")
    assert said == ["warning: connect to TCP map 127.0.0.1:1: Connection refused"]


@pytest.fixture
def database(tmp_path):
    connection = sqlite3.connect(tmp_path / "d.db")
    connection.execute("create table t(k text, v text)")
    rows = [("a", "1"), ("a", "2"), ("b@x.com", "three"), ("it's", "q"), ("n", None)]
    connection.executemany("insert into t values(?, ?)", rows)
    connection.commit()
    connection.close()

    def describe(text):
        (tmp_path / "s.cf").write_text(f"dbpath = {tmp_path}/d.db\n{text}\n")
        return f"sqlite:{tmp_path}/s.cf"

    return describe


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("query = select v from t where k = '%s'", "A", "1,2"),
        ("query = select v from t where k = '%s'", "it's", "q"),
        ("query = select v from t where k = '%s'", "n", None),
        ("query = select v from t where k = '%s'\nresult_format = <%s>", "a", "<1>,<2>"),
        ("query = select v from t where k = '%u@%d'\ndomain = x.com", "b@x.com", "three"),
        ("query = select v from t where k = '%u@%d'\ndomain = y.com", "b@x.com", None),
        ("query = select v from t where k = '%u@%2.%1'", "b@x.com", "three"),
        ("select_field = v\ntable = t\nwhere_field = k", "a", "1,2"),
    ],
)
def test_sqlite_answers(settings, database, text, key, value):
    table = make_table(Options(database(text), settings))
    assert table.lookup(key) == value
    table._forget()


def test_sqlite_says_what_is_wrong(settings, database, said):
    table = make_table(Options(database("query = select v from t where k = '%s'\nexpansion_limit = 1"), settings))
    with pytest.raises(LookupFailed, match="Expansion limit exceeded for key 'a'"):
        table.lookup("a")
    table._forget()
    with pytest.raises(LookupFailed, match="syntax error"):
        make_table(Options(database("query = selec v"), settings)).lookup("a")


def test_sqlite_serves_many_threads_while_somebody_writes(settings, database, tmp_path):
    table = make_table(Options(database("query = select v from t where k = '%s'"), settings))
    answers = []

    def ask():
        answers.extend(table.lookup("b@x.com") for _ in range(50))
        table._forget()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    connection = sqlite3.connect(tmp_path / "d.db")
    for number in range(20):
        connection.execute("insert into t values(?, 'x')", (str(number),))
        connection.commit()
    connection.close()
    for thread in threads:
        thread.join()
    assert answers == ["three"] * 200
