"""The limits of one client hold whichever worker it reaches (anvil(8))."""

from __future__ import annotations

import contextlib
import os
import signal
import smtplib

import pytest

from whole_house.house_scene import until
from whole_house.test_whole_house_processes import children

SETTINGS = """
posthouse_workers = 3
smtpd_client_connection_count_limit = 7
smtpd_client_message_rate_limit = 9
"""


@pytest.fixture
def house(closed_house):
    with (closed_house.conf / "main.cf").open("a") as main_cf:
        main_cf.write(SETTINGS)
    closed_house.start()
    return closed_house


@pytest.fixture
def connect(house):
    """connect() is a client that was let in, or None where it heard 421. All are closed at the end."""
    clients = []

    def one():
        client = smtplib.SMTP(timeout=20)
        clients.append(client)
        code, _ = client.connect("127.0.0.1", house.port)
        assert code in {220, 421}
        return client if code == 220 else None

    yield one
    for client in clients:
        client.close()


def worker_of(house, client):
    """The process that holds the other end."""
    ends = (f"0100007F:{house.port:04X}", f"0100007F:{client.sock.getsockname()[1]:04X}")
    with open("/proc/net/tcp") as table:
        inode = next(fields[9] for line in table if (fields := line.split())[1:3] == [*ends])
    for pid in children(house.master):
        links = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        if f"socket:[{inode}]" in links:
            return pid
    raise AssertionError


@contextlib.contextmanager
def asleep(worker):
    """Others take the connections that come meanwhile."""
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def test_connections_are_counted_exactly_across_workers(house, connect):
    first = connect()
    with asleep(worker_of(house, first)):
        second = connect()
    assert worker_of(house, first) != worker_of(house, second)
    assert sum(connect() is not None for _ in range(10)) == 5
    first.quit()
    until(lambda: connect() is not None)


def reload(house):
    former = set(children(house.master))
    assert house.command("postfix", "reload").returncode == 0
    until(lambda: len(former & set(children(house.master))) == 1)  # the agent host stays


def test_messages_of_one_client_are_counted_exactly_across_workers_and_a_reload(house):
    codes = []
    for number in range(12):
        if number == 5:
            reload(house)
        with house.client() as client:
            client.ehlo()
            codes.append(client.mail("friend@sender.test")[0])
    assert codes == [250] * 9 + [450] * 3


def test_connections_of_a_killed_worker_count_no_more(house, connect):
    first = connect()
    victim = worker_of(house, first)
    with asleep(victim):
        there = [connect(), connect()]
    there += [first, *(connect() for _ in range(4))]
    assert connect() is None
    lost = [client for client in there if worker_of(house, client) == victim]
    os.kill(victim, signal.SIGKILL)
    until(lambda: "killed by signal 9" in house.log)
    assert sum(connect() is not None for _ in range(len(lost) + 3)) == len(lost)
