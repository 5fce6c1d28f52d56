"""The services "greylist" and "spf" of master.cf, asked over a real socket."""

from __future__ import annotations

import asyncio
import socket

import pytest

from posthouse.backstage.policy_services import serve
from posthouse.config.master_cf import read_master_cf
from posthouse.config.settings import load
from posthouse.errors import ConfigError
from posthouse.services.house import House
from posthouse.system.dns_answers import Answer, Missing, NotFound
from posthouse.system.log import MemorySink


class Dns:
    async def lookup(self, name, kind):
        if (name, kind) == ("sender.test", "TXT"):
            return Answer(name, kind, ("v=spf1 ip4:198.51.100.0/24 -all",))
        return NotFound(name, kind, Missing.NO_NAME)


def a_house(folder, more=""):
    (folder / "main.cf").write_text(
        f"myhostname = mail.example.com\nposthouse_greylist_database = {folder}/g.db\n{more}"
    )
    (folder / "master.cf").write_text("greylist unix - n n - - greylist\nspf unix - n n - - spf\n")
    settings = load(str(folder))
    services = tuple(read_master_cf(str(folder / "master.cf")))
    return House(settings, services, MemorySink(), dns=Dns())


async def ask(house, folder, command, **attributes):
    service = next(service for service in house.services if service.command == command)
    listening = socket.socket(socket.AF_UNIX)
    path = f"{folder}/{command}"
    listening.bind(path)
    listening.listen()
    server = await serve(service, house, listening)
    reader, writer = await asyncio.open_unix_connection(path)
    given = {"request": "smtpd_access_policy", "client_address": "198.51.100.7", "client_name": "unknown"}
    given |= {"helo_name": "h.test", "sender": "a@sender.test", "recipient": "info@example.org", "instance": "1"}
    lines = [f"{name}={value}\n" for name, value in (given | attributes).items() if value is not None]
    writer.write("".join((*lines, "\n")).encode())
    reply = await reader.readuntil(b"\n\n")
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    return reply.decode().strip().removeprefix("action=")


async def test_a_stranger_is_asked_to_come_again(tmp_path):
    house = a_house(tmp_path)
    text = "DEFER_IF_PERMIT 4.2.0 Greylisted, please try again in 300 seconds"
    assert await ask(house, tmp_path, "greylist") == text
    assert any("action=greylist, reason=new" in line for line in house.sink.lines)
    await house.greylist.close()


async def test_a_request_that_lacks_something_passes(tmp_path):
    house = a_house(tmp_path)
    assert await ask(house, tmp_path, "greylist", sender=None) == "DUNNO"
    await house.greylist.close()


async def test_an_address_that_is_none_passes(tmp_path):
    house = a_house(tmp_path)
    assert await ask(house, tmp_path, "greylist", client_address="unknown") == "DUNNO"
    await house.greylist.close()


async def test_spf_answers_like_policyd_spf(tmp_path):
    house = a_house(tmp_path)
    assert (await ask(house, tmp_path, "spf")).startswith("prepend Received-SPF: Pass (mailfrom)")


async def test_spf_reads_a_configuration_of_policyd_spf(tmp_path):
    (tmp_path / "spf.conf").write_text("Header_Type = AR\nWhat = 1\n")
    house = a_house(tmp_path, f"posthouse_spf_configuration = {tmp_path}/spf.conf\n")
    assert (await ask(house, tmp_path, "spf")).startswith("prepend Authentication-Results: mail.example.com; spf=pass")
    assert any("spf.conf, line 2: unknown option What" in line for line in house.sink.lines)


async def test_a_configuration_that_is_missing_keeps_the_service_from_starting(tmp_path):
    house = a_house(tmp_path, "posthouse_spf_configuration = /no/such/file\n")
    with pytest.raises(ConfigError, match="/no/such/file"):
        await ask(house, tmp_path, "spf")
