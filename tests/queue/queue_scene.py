"""A small house for the tests of the queue: a rewriter, agents and a bouncer that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from posthouse.config.master_cf import Service
from posthouse.config.settings import load
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Sent
from posthouse.mail.status import Status
from posthouse.queue.qmgr import QueueManager
from posthouse.queue.queue_id import QueueIds
from posthouse.queue.sqlite import SqliteStore
from posthouse.services.delivery import DeliveryRequest, Report, Result
from posthouse.services.house import House
from posthouse.services.resolving import AddressClass, Resolution
from posthouse.system.log import MemorySink

SENT = Sent(Status("2.0.0", 250, "250 2.0.0 Ok"), "sink")
IDS = QueueIds(0)


def a_message(
    *recipients: str, sender: str = "a@example.com", arrival: float = 0.0, body: bytes = b"\ntext\n", **more: Any
):
    import time

    header = b"Subject: x\n"
    envelope = Envelope(sender, tuple(Recipient(address) for address in recipients), **more)
    return QueuedMessage(IDS.new(), arrival or time.time(), envelope, Content(header, body), len(header) + len(body))


class Agent:
    """Delivers after delay seconds; answer(request) may give another report, or raise."""

    def __init__(self, answer: Callable[[DeliveryRequest], Report | None] | None = None, delay: float = 0.0) -> None:
        self.answer, self.delay = answer, delay
        self.requests: list[DeliveryRequest] = []
        self.now = self.most = 0
        self.busy: dict[str, int] = {}
        self.most_to_one = 0

    async def deliver(self, request: DeliveryRequest) -> Report:
        self.requests.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        self.busy[request.nexthop] = self.busy.get(request.nexthop, 0) + 1
        self.most_to_one = max(self.most_to_one, self.busy[request.nexthop])
        if self.delay:
            await asyncio.sleep(self.delay)
        self.now -= 1
        self.busy[request.nexthop] -= 1
        report = self.answer(request) if self.answer else None
        return report or Report(tuple(Result(target.index, SENT) for target in request.targets))

    async def close(self) -> None: ...


class Rewriter:
    async def rewrite(self, context: str, address: str) -> str:
        return address

    async def resolve(self, sender: str, address: str, *, probe=False) -> Resolution:
        domain = address.rpartition("@")[2]
        if domain == "bad.test":
            return Resolution("error", domain, address, AddressClass.DEFAULT, error="5.1.3 bad address syntax")
        if domain == "broken.test":
            return Resolution("smtp", domain, address, AddressClass.DEFAULT, failed=True)
        name = "local" if domain == "local.test" else "relay" if domain == "relay.test" else "smtp"
        kind = AddressClass.LOCAL if name == "local" else AddressClass.DEFAULT
        return Resolution(name, domain, address, kind)


class Bouncer:
    def __init__(self) -> None:
        self.failures: list[tuple[QueuedMessage, list[Result]]] = []
        self.delays: list[QueuedMessage] = []
        self.successes: list[tuple[QueuedMessage, list[Result]]] = []

    async def failure(self, message: QueuedMessage, results: list[Result]) -> list[QueuedMessage]:
        self.failures.append((message, results))
        return [a_message(message.envelope.sender, sender="")] if message.envelope.sender else []

    async def delay(self, message: QueuedMessage) -> list[QueuedMessage]:
        self.delays.append(message)
        return []

    async def success(self, message: QueuedMessage, results: list[Result]) -> list[QueuedMessage]:
        self.successes.append((message, results))
        return []


def a_service(name: str, command: str, maxproc: int = 100, **options: str) -> Service:
    return Service(name, "unix", True, True, False, 0, False, maxproc, command, (), options)


def a_house(tmp_path, main_cf: str = "", *services: Service) -> SimpleNamespace:
    """house, store, qmgr, lines (of the log), agent, bouncer, ready to be used in a running loop."""
    folder = tmp_path / "conf"
    folder.mkdir(exist_ok=True)
    (folder / "main.cf").write_text(f"compatibility_level = 3.6\nqueue_directory = {tmp_path}/queue\n{main_cf}")
    (folder / "master.cf").write_text("")
    settings = load(str(folder))
    sink, agent, bouncer = MemorySink(), Agent(), Bouncer()
    stock = (
        a_service("smtp", "smtp"),
        a_service("relay", "smtp", syslog_name="postfix/$service_name"),
        a_service("local", "local"),
        a_service("error", "error"),
        a_service("retry", "error"),
    )
    names = {service.name for service in services}
    kept = tuple(service for service in stock if service.name not in names) + services
    house = House(settings, kept, sink, rewriter=Rewriter(), bouncer=bouncer)
    house.agent = lambda name: agent
    directory = f"{tmp_path}/queue/posthouse"
    store = SqliteStore(f"{directory}/queue-0.sqlite", f"{directory}/spool")
    qmgr = QueueManager(house, store, settings)
    return SimpleNamespace(
        house=house, store=store, qmgr=qmgr, lines=sink.lines, agent=agent, bouncer=bouncer, settings=settings
    )


async def take_in(scene: SimpleNamespace, *messages: QueuedMessage) -> None:
    for message in messages:
        await scene.store.put(message)
        scene.qmgr.admit(message)


async def until(condition: Callable[[], object], limit: float = 10.0) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.002)


async def listed(scene: SimpleNamespace) -> list[Any]:
    return [row async for row in scene.store.list()]
