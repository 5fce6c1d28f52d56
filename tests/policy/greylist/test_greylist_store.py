"""The contract of greylisting's memory, against SQLite and, where redis-server is installed, Redis."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time

import pytest

from posthouse.policy.greylist.patient import PatientStore
from posthouse.policy.greylist.store import Entry, Kept, Kind, StoreFailed, open_store

NOW = int(time.time())


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [
        server,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(tmp_path_factory.mktemp("r")),
    ]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}/3"
    process.terminate()
    process.wait()


@pytest.fixture(params=["sqlite", "redis"])
async def store(request, tmp_path):
    location = str(tmp_path / "g.db") if request.param == "sqlite" else request.getfixturevalue("redis_url")
    opened = open_store(location)
    async for kept in opened.scan(None, ""):
        await opened.delete(kept.kind, kept.key)
    yield opened
    await opened.close()


async def test_what_was_put_is_got_until_it_is_deleted(store):
    await store.put(Kind.TRIPLET, "a/b/c", Entry(NOW - 1, NOW, 3), 100)
    assert await store.get(Kind.TRIPLET, "a/b/c") == Entry(NOW - 1, NOW, 3)
    assert await store.get(Kind.CLIENT, "a/b/c") is None
    await store.put(Kind.TRIPLET, "a/b/c", Entry(NOW - 1, NOW + 1, 4), 100)
    assert await store.get(Kind.TRIPLET, "a/b/c") == Entry(NOW - 1, NOW + 1, 4)
    assert await store.delete(Kind.TRIPLET, "a/b/c")
    assert not await store.delete(Kind.TRIPLET, "a/b/c")
    assert await store.get(Kind.TRIPLET, "a/b/c") is None


async def test_any_bytes_make_a_key(store):
    for key in ("", "ü@example.org", "\udcff", "x" * 5000, "a\r\n*1\r\n", "'; DROP TABLE seen"):
        await store.put(Kind.PAIR, key, Entry(1, NOW, 0), 100)
        assert await store.get(Kind.PAIR, key) == Entry(1, NOW, 0)


async def test_what_is_old_is_forgotten_a_little_at_a_time(store):
    await store.put_many([Kept(Kind.TRIPLET, f"old{n}", Entry(1, NOW - 1000, 0)) for n in range(25)], 10)
    await store.put(Kind.TRIPLET, "young", Entry(1, NOW, 0), 1000)
    counts = []
    while counted := await store.expire(NOW, 10):
        counts.append(counted)
    assert counts in ([10, 10, 5], [])  # Redis does it by itself
    assert [kept.key async for kept in store.scan(Kind.TRIPLET, "")] == ["young"]


async def test_a_scan_finds_by_kind_and_part_of_the_key(store):
    many = [Kept(Kind.TRIPLET, f"net/{n}@Example.org/x", Entry(1, NOW, n)) for n in range(1200)]
    await store.put_many([*many, Kept(Kind.CLIENT, "1.2.3.4", Entry(1, NOW, 5))], 100)
    assert len([kept async for kept in store.scan(None, "")]) == 1201
    assert [kept.key async for kept in store.scan(Kind.TRIPLET, "/77@eXample")] == ["net/77@Example.org/x"]
    assert [kept.entry.times async for kept in store.scan(Kind.CLIENT, "")] == [5]


async def test_a_file_that_is_no_database_is_put_aside_and_told(tmp_path):
    path = tmp_path / "g.db"
    path.write_bytes(b"this is no database, but it is long enough to look like a file of some kind" * 100)
    said: list[str] = []
    store = PatientStore(lambda: open_store(str(path)), said.append)
    await store.put(Kind.CLIENT, "x", Entry(1, 2, 3), 10)
    assert await store.get(Kind.CLIENT, "x") == Entry(1, 2, 3)
    assert "greylisting's database was broken" in said[0]
    assert (tmp_path / "g.db.broken") in list(tmp_path.iterdir())
    await store.close()


async def test_a_store_that_cannot_be_opened_fails_at_once_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("posthouse.policy.greylist.patient.RETRY_S", 0.05)
    folder = tmp_path / "later"
    store = PatientStore(lambda: open_store(str(folder / "g.db")), lambda _text: None)
    for _ in range(2):
        with pytest.raises(StoreFailed, match="unable to open"):
            await store.get(Kind.CLIENT, "x")
    folder.mkdir()
    await asyncio.sleep(0.06)
    assert await store.get(Kind.CLIENT, "x") is None
    await store.close()


async def test_redis_that_does_not_answer_fails(redis_url):
    with pytest.raises(StoreFailed):
        await open_store("redis://127.0.0.1:1").get(Kind.CLIENT, "x")
