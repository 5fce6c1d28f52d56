"""posthouse greylist over a database of its own, and over one that a real postgrey has left."""

from __future__ import annotations

import asyncio
import json
import struct
import time

import pytest

from posthouse.commands import posthouse_greylist
from posthouse.policy.greylist.store import Entry, Kind, open_store

NOW = int(time.time())


@pytest.fixture
def run(tmp_path, capsys):
    (tmp_path / "main.cf").write_text(f"posthouse_greylist_database = {tmp_path}/g.db\nmail_owner = nobody\n")
    (tmp_path / "master.cf").write_text("")

    def command(*words):
        code = posthouse_greylist.main(["-c", str(tmp_path), *words])
        return code, capsys.readouterr().out

    return command


@pytest.fixture
def filled(tmp_path):
    async def fill():
        store = open_store(str(tmp_path / "g.db"))
        await store.put(Kind.TRIPLET, "198.51.100.0/joe@a.test/info@example.org", Entry(NOW - 10, NOW - 10), 9999)
        await store.put(Kind.TRIPLET, "198.51.100.0/eva@b.test/info@example.org", Entry(NOW - 900, NOW - 10), 9999)
        await store.put(Kind.CLIENT, "spf:b.test", Entry(NOW - 900, NOW - 10, 2), 9999)
        await store.close()

    asyncio.run(fill())


def test_an_empty_database(run):
    assert run("list") == (0, "nobody waits\n")
    assert run("search", "x") == (1, "nothing found\n")


def test_who_waits_and_what_is_remembered(run, filled):
    code, out = run("list")
    assert code == 0
    assert "joe@a.test -> info@example.org" in out
    assert "waits 2" in out
    assert "eva" not in out
    assert len(run("list", "--all")[1].splitlines()) == 3
    code, out = run("search", "B.test", "--json")
    assert {json.loads(line)["kind"] for line in out.splitlines()} == {"triplet", "client"}


def test_release_lets_in_at_the_next_try(run, filled):
    assert run("release", "joe@a.test") == (0, "1 released; they come in when they are tried again\n")
    assert "may come in" in run("list")[1]
    assert run("release", "nobody@x")[0] == 1


def test_expect_for_a_time_and_no_longer(run):
    assert run("expect", "@new.test", "--for", "2h") == (0, "mail from new.test comes in at once for 2h\n")
    assert "expected" in run("search", "new.test")[1]
    assert run("expect", "new.test", "--not")[0] == 0
    assert run("expect", "new.test", "--not")[0] == 1
    assert run("expect", "new.test", "--for", "soon")[0] == 2


def btree(pairs):
    """A Berkeley DB B-tree of one leaf, as postgrey leaves it."""
    size = 4096
    meta = bytearray(size)
    struct.pack_into("<III", meta, 12, 0x053162, 9, size)
    meta[25] = 9
    leaf, at = bytearray(size), size
    items = [item for pair in pairs for item in pair]
    for number, item in enumerate(items):
        at -= len(item) + 3
        struct.pack_into("<HB", leaf, at, len(item), 1)
        leaf[at + 3 : at + 3 + len(item)] = item
        struct.pack_into("<H", leaf, 26 + 2 * number, at)
    struct.pack_into("<HHBB", leaf, 20, len(items), at, 1, 5)
    return bytes(meta + leaf)


def test_a_database_of_postgrey_is_taken_over(run, tmp_path):
    times = f"{NOW - 500},{NOW - 10}".encode()
    (tmp_path / "postgrey.db").write_bytes(btree([(b"192.0.2.0/a@b.test/info@example.org", times), (b"junk", b"x")]))
    (tmp_path / "postgrey_clients.db").write_bytes(btree([(b"192.0.2.7", f"4,{NOW}".encode())]))
    assert run("import", str(tmp_path)) == (0, f"2 entries taken over from {tmp_path}\n")
    assert len(run("list", "--all")[1].splitlines()) == 2


@pytest.mark.parametrize("data", [b"", b"x" * 5000, btree([(b"k", b"1,2")])[:30], b"\xff" * 20000])
def test_what_is_no_database_is_said(run, tmp_path, data):
    (tmp_path / "postgrey.db").write_bytes(data)
    (tmp_path / "postgrey_clients.db").write_bytes(data)
    assert run("import", str(tmp_path))[0] == 2
