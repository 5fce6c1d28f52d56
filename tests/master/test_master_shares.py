import asyncio
import sqlite3

import pytest

from posthouse.config.settings import from_text
from posthouse.errors import TemporaryFailure
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.master import shares as module
from posthouse.master.shares import Shares
from posthouse.services.house import House
from posthouse.system.log import MemorySink


class FullDisk:
    """What opens stores, on a disk that has no room for new ones while full is set."""

    def __init__(self):
        self.full = True

    def __call__(self, path, spool):
        if self.full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return module_store(path, spool)


module_store = module.SqliteStore


@pytest.fixture
def disk(monkeypatch):
    disk = FullDisk()
    monkeypatch.setattr(module, "SqliteStore", disk)
    return disk


def open_shares(tmp_path, sink):
    settings = from_text(f"queue_directory = {tmp_path}\n")
    return Shares(House(settings, (), sink), settings, slot=0, workers=1)


def message(queue_id):
    content = Content(b"Subject: x\n", b"\ntext\n")
    return QueuedMessage(queue_id, 1000.0, Envelope("a@b.test", (Recipient("c@d.test"),)), content, content.size)


async def test_without_room_for_a_store_new_mail_is_refused_for_now_until_there_is_room(tmp_path, disk, monkeypatch):
    sink = MemorySink()
    shares = open_shares(tmp_path, sink)
    assert shares.own is None
    assert sink.lines == ["postfix/qmgr: warning: no room for new mail: database or disk is full"]
    with pytest.raises(TemporaryFailure) as refused:
        await shares.put(message("A1"))
    assert (refused.value.status.dsn, refused.value.status.code) == ("4.3.1", 452)
    assert len(sink.lines) == 1, "not tried again at once"
    disk.full = False
    monkeypatch.setattr(module, "_RETRY_S", 0.0)
    shares._next_attempt = 0.0
    await shares.put(message("A2"))
    assert [listed.queue_id async for listed in shares.own.store.list()] == ["A2"]
    await shares.close(1.0)


async def test_a_queue_is_handed_over_though_there_is_no_room_for_another_store(tmp_path, disk):
    sink = MemorySink()
    disk.full = False
    shares = open_shares(tmp_path, sink)
    shares.start()
    await shares.own.store.put(message("A1"))
    number = shares.number
    disk.full = True
    async with asyncio.timeout(10):
        await shares.release()
    assert shares.own is None
    assert shares.number != number, "the next generation has that number"
    disk.full = False
    successor = open_shares(tmp_path, sink)
    assert successor.number == number
    assert [listed.queue_id async for listed in successor.own.store.list()] == ["A1"]
    await successor.close(1.0)


async def test_other_troubles_of_a_store_stop_the_worker(tmp_path, monkeypatch):
    def broken(path, spool):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(module, "SqliteStore", broken)
    with pytest.raises(PermissionError):
        open_shares(tmp_path, MemorySink())
