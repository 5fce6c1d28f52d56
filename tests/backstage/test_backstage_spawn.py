from __future__ import annotations

import asyncio
import os
import time

import pytest

from posthouse.backstage.spawn import SpawnService
from posthouse.config import settings as config
from posthouse.config.master_cf import Service
from posthouse.deliver.agent_host import client, host, wire
from posthouse.errors import ConfigError
from posthouse.services.house import House
from posthouse.system import users
from posthouse.system.log import MemorySink


def service(*args: str) -> Service:
    return Service("spf", "unix", True, False, False, 0, False, 0, "spawn", args)


async def test_each_connection_gets_a_command_of_its_own(tmp_path):
    users._by_name["worker"] = (
        time.monotonic() + 1e6,
        users.User("worker", os.getuid() or 5000, os.getgid() or 5000, "/", "/bin/sh"),
    )
    sock, theirs = wire.socket_pair()
    process = os.fork()
    if process == 0:
        sock.close()
        host.run(None, [theirs])
        os._exit(0)
    theirs.close()
    settings = config.from_text("myhostname = mx.example.test\n")
    house = House(settings, (), MemorySink())
    house.privileged = client.AgentClient(asyncio.get_running_loop(), sock)
    spawn = SpawnService(service("user=worker", "argv=/bin/sed", "-u", "{ s/^/got / }"), settings, house)
    listener = await asyncio.start_unix_server(lambda *_: None, str(tmp_path / "unused"))
    listener.close()
    import socket

    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "spf"))
    listening.listen()
    spawn.listen(listening)
    try:
        for word in (b"one\n", b"two\n"):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "spf"))
            writer.write(word)
            assert await asyncio.wait_for(reader.readline(), 5) == b"got " + word
            writer.close()
    finally:
        await spawn.close()
        house.privileged.close()
        os.waitpid(process, 0)
        users.forget_users()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("argv=/bin/cat",), "missing user="),
        (("user=root", "argv=/bin/cat"), "root privileges"),
        (("user=no-such-user", "argv=/bin/cat"), "unknown username: no-such-user"),
        (("user=nobody",), "missing argv="),
    ],
)
def test_mistakes_in_master_cf_are_named(args, text):
    settings = config.from_text("myhostname = mx.example.test\n")
    with pytest.raises(ConfigError, match=text):
        SpawnService(service(*args), settings, House(settings, (), MemorySink()))
