"""A house with only what delivery agents need: real settings and rewriting, a real agent host, an intake that keeps."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field

from posthouse.config import settings as config
from posthouse.config.master_cf import Service
from posthouse.deliver.agent import build_agent
from posthouse.deliver.agent_host import client, host, wire
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Notify, Origin, Recipient, Trace
from posthouse.mail.message import QueuedMessage
from posthouse.services.delivery import DeliveryRequest, Report, Target
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Submission
from posthouse.services.resolving import AddressClass, Resolution
from posthouse.system.log import MemorySink

CONTENT = Content(b"Received: from client\nFrom: friend@sender.test\nSubject: hello\n", b"\nFrom the start\ntext\n")


class Rewriter:
    """Completes with the host's name; that domain is local."""

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname

    async def rewrite(self, context: str, address: str) -> str:
        return address if "@" in address or not address else f"{address}@{self.hostname}"

    async def resolve(self, sender: str, address: str, *, probe=False) -> Resolution:
        domain = address.rpartition("@")[2]
        transport = "local" if domain == self.hostname else "smtp"
        return Resolution(transport, domain, address, AddressClass.LOCAL)


@dataclass
class Intake:
    taken: list[Submission] = field(default_factory=list)

    def new_queue_id(self) -> str:
        return f"QID{len(self.taken)}"

    async def take(self, submission: Submission) -> Accepted:
        self.taken.append(submission)
        return Accepted(submission.queue_id)


class HostProcess:
    """An agent host in a process of its own."""

    def __init__(self, limits: host.Limits | None = None) -> None:
        self.sock, theirs = wire.socket_pair()
        self.process = os.fork()
        if self.process == 0:
            try:
                self.sock.close()
                host.run(None, [theirs], limits)
            finally:
                os._exit(0)
        theirs.close()

    def end(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


class Scene:
    """Deliver with one agent. main_cf is added to a few lines of its own."""

    def __init__(self, main_cf: str, limits: host.Limits | None = None) -> None:
        self.sink = MemorySink()
        self.settings = config.from_text("myhostname = mx.example.test\ndeliver_lock_delay = 1s\n" + main_cf)
        self.intake = Intake()
        self.house = House(self.settings, (), self.sink)
        self.house.rewriter = Rewriter("mx.example.test")
        self.house.intake = self.intake
        self.host = HostProcess(limits)
        self.client = client.AgentClient(asyncio.get_running_loop(), self.host.sock)
        self.house.privileged = self.client

    def close(self) -> None:
        self.client.close()
        self.host.end()

    async def deliver(
        self,
        command: str,
        *addresses: str,
        service: str = "",
        args: tuple[str, ...] = (),
        sender: str = "friend@sender.test",
        content: Content = CONTENT,
        nexthop: str = "",
        trace: Trace = Trace.NONE,
        original: str = "",
        notify: Notify = Notify.DEFAULT,
    ) -> Report:
        line = Service(service or command, "unix", True, False, False, 0, False, 0, command, args)
        agent = build_agent(line, self.settings, self.house)
        recipients = tuple(Recipient(address, original, notify=notify) for address in addresses)
        origin = Origin(client_name="unknown", client_address="198.51.100.7", helo_name="client.sender.test")
        envelope = Envelope(sender, recipients, trace=trace, origin=origin)
        message = QueuedMessage("4ABC", time.time(), envelope, content, content.size)
        targets = tuple(Target(index, recipient) for index, recipient in enumerate(recipients))
        now = time.time()
        return await agent.deliver(DeliveryRequest(message, line.name, nexthop, targets, now, now))


def texts(report: Report) -> list[str]:
    """ "dsn text" of each result."""
    return [f"{result.outcome.status.dsn} {result.outcome.status.text}" for result in report.results]
