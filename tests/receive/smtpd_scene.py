"""What the tests of smtpd share: a service with a gate that says what it is told, and a client that speaks line by line."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field

from posthouse.config.master_cf import Service
from posthouse.config.settings import from_text
from posthouse.mail.content import FilePart
from posthouse.mail.status import Status
from posthouse.policy.verdict import PASS, Verdict
from posthouse.receive.smtpd.service import SmtpdService
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Refused, Submission
from posthouse.system.log import MemorySink

MAIN_CF = """
compatibility_level = 3.6
myhostname = mail.example.com
mynetworks = 10.0.0.0/8
smtpd_error_sleep_time = 0
smtpd_forbid_bare_newline = normalize
smtpd_forbid_unauth_pipelining = yes
smtpd_peername_lookup = no
"""


@dataclass
class FakeGate:
    """Refuses recipients by address ("later" and "hang" wait, or close), and hands out verdicts by stage."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    seen_recipients: dict[str, str | None] = field(default_factory=dict)

    async def _ask(self, stage, key=""):
        self.asked.append(stage)
        return self.verdicts.get(key) or self.verdicts.get(stage) or PASS

    async def connect(self, request):
        return await self._ask("connect")

    async def helo(self, request):
        return await self._ask("helo", request.helo_name)

    async def mail(self, request):
        return await self._ask("mail", request.sender)

    async def rcpt(self, request):
        if request.recipient.startswith("slow"):
            async with asyncio.timeout(5):
                await asyncio.sleep(0.02)
        return await self._ask("rcpt", request.recipient)

    async def data(self, request):
        self.seen_recipients["data"] = request.recipient
        return await self._ask("data")

    async def end_of_data(self, request):
        self.seen_recipients["end_of_data"] = request.recipient
        return await self._ask("end_of_data")

    async def vrfy(self, request):
        return await self._ask("vrfy", request.recipient)

    async def etrn(self, request):
        return await self._ask("etrn")

    async def close(self):
        pass


class FakeIntake:
    def __init__(self):
        self.taken: list[Submission] = []
        self.refusal: Status | None = None
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self._numbers = 0

    def new_queue_id(self):
        self._numbers += 1
        return f"Q{self._numbers}"

    async def take(self, submission):
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        if self.refusal is not None:
            return Refused(self.refusal)
        self.taken.append(submission)
        return Accepted(submission.queue_id)


class Scene:
    """A service listening on a free port of 127.0.0.1."""

    def __init__(self, directory, main_cf="", **house):
        self.sink = MemorySink()
        self.intake, self.gate = FakeIntake(), FakeGate()
        settings = from_text(f"{MAIN_CF}queue_directory = {directory}\n{main_cf}")
        self.house = House(settings, (), self.sink, intake=self.intake, **house)
        row = Service("smtp", "inet", False, True, False, 0, False, 0, "smtpd")
        self.service = SmtpdService(row, settings, self.house, self.gate)
        self._server = None
        self.writers = []

    async def __aenter__(self):
        self._server = await asyncio.get_running_loop().create_server(self.service.protocol_factory, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc):
        for writer in self.writers:
            writer.close()
        self._server.close()
        await self.service.close(grace=0.5)
        await asyncio.sleep(0)

    async def client(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return Client(reader, writer)

    async def log(self, *parts, count=1):
        """The lines that hold all parts, once there are so many."""
        for _ in range(300):
            found = [line for line in self.sink.lines if all(part in line for part in parts)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"{parts} not in {self.sink.lines}")

    @property
    def mail(self):
        return self.intake.taken[-1]

    def content(self):
        content = self.mail.content
        if isinstance(content.body, FilePart):
            with open(content.body.path, "rb") as file:
                file.seek(content.body.offset)
                return content.header + file.read(content.body.length)
        return content.header + content.body


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def reply(self):
        lines = []
        while True:
            try:
                line = await asyncio.wait_for(self.reader.readline(), 10)
            except ConnectionError:
                line = b""
            if not line:
                return "\n".join([*lines, "EOF"])
            lines.append(line.decode("utf-8", "surrogateescape").rstrip("\r\n"))
            if line[3:4] != b"-":
                return "\n".join(lines)

    async def say(self, line):
        self.raw(line.encode() + b"\r\n")
        return await self.reply()

    def raw(self, data):
        self.writer.write(data)

    async def play(self, transcript):
        """Lines "C: command" are sent, "S: reply" are awaited and compared ("S: EOF" the end)."""
        for row in transcript.strip().splitlines():
            row = row.strip()
            if row.startswith("C:"):
                self.raw(row[3:].encode() + b"\r\n")
            elif row.startswith("S:"):
                assert await self.reply() == row[3:].replace("\\n", "\n"), row

    def vanish(self):
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()
