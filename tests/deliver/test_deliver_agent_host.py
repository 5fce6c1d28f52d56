from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest
from delivery_scene import CONTENT, HostProcess

from posthouse.deliver.agent_host import client, host, wire
from posthouse.services.privileged import Command, Identity, MailFile

ME = Identity(os.getuid() or 5000, os.getgid() or 5000)


@pytest.fixture
def place(tmp_path):
    if os.geteuid() == 0:
        for parent in (tmp_path, *tmp_path.parents):
            if str(parent).startswith("/tmp/"):
                os.chmod(parent, 0o755)
        os.chown(tmp_path, ME.uid, ME.gid)
    return tmp_path


@pytest.fixture
async def agent():
    process = HostProcess()
    made = client.AgentClient(asyncio.get_running_loop(), process.sock)
    made.process = process
    yield made
    made.close()
    process.end()


def letter(place, number: int) -> MailFile:
    return MailFile(ME, f"{place}/Maildir/", f"X-Number: {number}\n".encode(), CONTENT)


def numbers(place) -> set[int]:
    found = set()
    for name in os.listdir(place / "Maildir/new"):
        found.add(int((place / "Maildir/new" / name).read_bytes().split(b"\n")[0][10:]))
    return found


async def child_of(agent) -> int:
    result = await agent.run_command(Command(ME, ("/bin/sh", "-c", "echo $PPID"), {"PATH": "/bin"}, b"", CONTENT, 10.0))
    return int(result.output)


async def test_letters_that_wait_together_all_arrive_once(agent, place):
    results = await asyncio.gather(*(agent.write_maildir(letter(place, number)) for number in range(300)))
    assert results == [None] * 300
    assert numbers(place) == set(range(300))
    assert os.listdir(place / "Maildir/tmp") == []


async def test_a_killed_child_loses_nothing_that_it_acknowledged(agent, place):
    acknowledged, refused = set(), 0

    async def send(number: int) -> None:
        nonlocal refused
        status = await agent.write_maildir(letter(place, number))
        if status is None:
            acknowledged.add(number)
        else:
            assert status.is_temporary
            refused += 1

    await send(0)
    for round_ in range(3):
        child = await child_of(agent)
        work = [asyncio.create_task(send(1 + round_ * 200 + number)) for number in range(200)]
        await asyncio.sleep(0.004)
        os.kill(child, signal.SIGKILL)
        await asyncio.gather(*work)
    assert acknowledged <= numbers(place)
    assert refused
    await send(10_000)
    assert 10_000 in acknowledged


async def test_a_lost_host_defers_new_users_until_it_is_back(agent, place):
    os.kill(agent.process.process, signal.SIGKILL)
    os.waitpid(agent.process.process, 0)
    await asyncio.sleep(0.05)
    status = await agent.write_maildir(letter(place, 1))
    assert (status.dsn, status.text) == ("4.3.0", "agent host is not running")
    assert not agent.is_connected
    again = HostProcess()
    agent.process.process = again.process
    agent.reconnect(again.sock)
    assert await agent.write_maildir(letter(place, 2)) is None


async def test_roots_rights_are_given_to_nobody(agent, place):
    status = await agent.write_maildir(MailFile(Identity(0, 0), f"{place}/x/", b"", CONTENT))
    assert status.is_temporary
    assert "root" in status.text
    assert not (place / "x").exists()


async def test_relative_paths_are_refused(agent):
    assert (await agent.write_maildir(MailFile(ME, "x/", b"", CONTENT))).text == "not an absolute path: x/"


async def test_a_malformed_request_ends_the_channel_and_no_more(agent, place):
    own, theirs = wire.socket_pair()
    process = os.fork()
    if process == 0:
        own.close()
        host.run(None, [theirs])
        os._exit(7)
    theirs.close()
    own.send(b"nonsense")
    assert own.recv(100) == b""
    own.close()
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 7
    assert await agent.write_maildir(letter(place, 1)) is None


async def test_workers_are_introduced_by_master(place):
    control, theirs = wire.socket_pair()
    process = os.fork()
    if process == 0:
        control.close()
        host.run(theirs)
        os._exit(0)
    theirs.close()
    first, second = host.introduce(control), host.introduce(control)
    loop = asyncio.get_running_loop()
    for number, sock in enumerate((first, second)):
        made = client.AgentClient(loop, sock)
        assert await made.write_maildir(letter(place, number)) is None
        made.close()
    control.close()
    assert os.waitpid(process, 0)[1] == 0
    assert numbers(place) == {0, 1}


async def test_a_spawned_command_talks_over_the_connection(agent):
    ours, theirs = socket.socketpair()
    assert await agent.spawn(ME, ["/bin/cat"], {"PATH": "/bin"}, 10.0, theirs.fileno()) is None
    theirs.close()
    ours.sendall(b"hello\n")
    ours.settimeout(5)
    assert await asyncio.to_thread(ours.recv, 100) == b"hello\n"
    ours.shutdown(socket.SHUT_WR)
    assert await asyncio.to_thread(ours.recv, 100) == b""
    ours.close()


async def test_files_are_read_with_the_users_rights(agent, place):
    (place / "plain").write_text("text\n")
    (place / "link").symlink_to("plain")
    found = await agent.read_file(ME, f"{place}/plain", 100)
    assert (found.data, found.exists, found.world_writable) == (b"text\n", True, False)
    assert (await agent.read_file(ME, f"{place}/link", 100, follow_links=False)).regular is False
    assert (await agent.read_file(ME, f"{place}/none", 100)).exists is False


async def test_deliveries_to_one_mbox_do_not_mix(agent, place):
    def mail(number: int) -> MailFile:
        return MailFile(
            ME, f"{place}/box", f"From {number}\n".encode(), CONTENT, locks=("fcntl", "dotlock"), from_quoting=True
        )

    assert await asyncio.gather(*(agent.append_mbox(mail(number)) for number in range(40))) == [None] * 40
    text = (place / "box").read_bytes()
    body = CONTENT.header + b"\n>From the start\ntext\n\n"
    assert sorted(text.split(b"From ")[1:]) != []
    assert text.count(body) == 40
    assert len(text) == sum(len(f"From {number}\n") for number in range(40)) + 40 * len(body)
