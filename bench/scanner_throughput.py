#!/usr/bin/env python3
"""The scanner without spamd and clamd beside the real amavisd-new with its scanners off: mail a second, CPU for each.

    bench/scanner_throughput.py [--messages 600] [--connections 2,10] [--size 4096] [--rounds 2]

Both take the same mail over SMTP as Postfix's client would send it (pipelined, connections used again), and hand it to
the same sink in the place of the reinjection port, in turns. amavisd-new must be installed. CPU is that of all
their processes, in milliseconds for each message.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from whole_house.guide_amavisd_scene import Amavisd
from whole_house.house_scene import WholeHouse, free_port, let_others_in, until

GREETING = b"220 sink.example.com ESMTP\r\n"
EXTENSIONS = b"".join(
    b"250%s\r\n" % line
    for line in (
        b"-sink.example.com", b"-PIPELINING", b"-SIZE 99999999", b"-XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT",
        b"-ENHANCEDSTATUSCODES", b"-8BITMIME", b" DSN",
    )
)  # fmt: skip
RECIPIENT = "info@example.org"
MASTER_CF = "127.0.0.1:{port} inet n - n - 50 scan\n"
MAIN_CF = "posthouse_scan_spamd =\nposthouse_scan_clamd =\nposthouse_scan_forward = [127.0.0.1]:{sink}\n"


class Sink(asyncio.Protocol):
    """Takes all mail, and counts it."""

    def __init__(self, count: Any) -> None:
        self.count, self.data, self.in_content = count, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(GREETING)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        answer_at_once(self.transport)
        self.data += data
        answers = []
        while self.data:
            end = b"\r\n.\r\n" if self.in_content else b"\r\n"
            line, found, rest = self.data.partition(end)
            if not found:
                break
            self.data = rest
            answers.append(self.answer(line))
        if answers:
            self.transport.write(b"".join(answers))  # type: ignore[attr-defined]

    def answer(self, line: bytes) -> bytes:
        if self.in_content:
            self.in_content = False
            self.count.value += 1
            return b"250 2.0.0 Ok: queued as 1234\r\n"
        verb = line[:4].upper()
        if verb == b"DATA":
            self.in_content = True
            return b"354 go on\r\n"
        if verb in (b"EHLO", b"LHLO"):
            return EXTENSIONS
        return b"221 2.0.0 Bye\r\n" if verb == b"QUIT" else b"250 2.0.0 Ok\r\n"


def answer_at_once(transport: Any) -> None:
    """What amavisd writes in small pieces would wait for acknowledgments that come late; that would flatter us."""
    if hasattr(socket, "TCP_QUICKACK"):
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def serve_sink(port: int, count: Any) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Sink(count), "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(serve())


async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        answer_at_once(writer)
        line = await reader.readline()
        if not line:
            raise ConnectionError("the filter has closed the connection")
        if line[3:4] != b"-":
            return line


async def client(port: int, numbers: Iterator[int], content: bytes) -> int:
    """One connection, used for message after message; how many were taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reply(reader, writer)
    writer.write(b"EHLO client.example.com\r\n")
    await reply(reader, writer)
    taken = 0
    for number in numbers:
        sender = f"sender{number % 7}@sender.test"
        writer.write(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n".encode())
        codes = [(await reply(reader, writer))[:3] for _ in range(3)]
        if codes != [b"250", b"250", b"354"]:
            raise ConnectionError(f"refused: {codes}")
        writer.write(b"Message-ID: <%d.bench@sender.test>\r\n" % number + content)
        said = await reply(reader, writer)
        if not said.startswith(b"250"):
            raise ConnectionError(f"refused: {said!r}")
        taken += 1
    writer.write(b"QUIT\r\n")
    writer.close()
    return taken


def load(port: int, messages: int, connections: int, content: bytes) -> float:
    """Seconds that it took."""

    async def run() -> float:
        numbers = iter(range(messages))
        begun = time.monotonic()
        taken = await asyncio.gather(*(client(port, numbers, content) for _ in range(connections)))
        assert sum(taken) == messages
        return time.monotonic() - begun

    return asyncio.run(run())


def cpu_of(processes: list[int]) -> float:
    """Seconds of CPU that the processes and their ended children have used."""
    ticks = 0
    for process in processes:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def family(root: int) -> list[int]:
    """A process and all that come from it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for process in found:
        found += parents.get(process, [])
    return found


class Contender:
    """A filter on a port, in processes that come from one."""

    def __init__(self, name: str, port: int, root: int) -> None:
        self.name, self.port, self.root = name, port, root
        self.rates: list[float] = []
        self.costs: list[float] = []

    def run(self, messages: int, connections: int, content: bytes) -> None:
        before = cpu_of(family(self.root))
        seconds = load(self.port, messages, connections, content)
        self.costs.append((cpu_of(family(self.root)) - before) / messages * 1000)
        self.rates.append(messages / seconds)

    def line(self) -> str:
        return f"{self.name:9} {max(self.rates):8.1f} mails/s  {min(self.costs):6.2f} ms CPU a mail"


@contextlib.contextmanager
def contenders(place: Path, sink: int, connections: int) -> Iterator[tuple[Contender, Contender]]:
    for name in ("house", "amavisd"):
        shutil.rmtree(place / name, ignore_errors=True)
    (place / "house").mkdir()
    house = WholeHouse(place / "house")
    scan_port = free_port()
    with (house.conf / "main.cf").open("a") as file:
        file.write(MAIN_CF.format(sink=sink))
    with (house.conf / "master.cf").open("a") as file:
        file.write(MASTER_CF.format(port=scan_port))
    amavisd = Amavisd(place / "amavisd", sink, None, servers=connections, log_level=0)
    try:
        house.start()
        amavisd.start()
        yield Contender("scanner", scan_port, house.master), Contender("amavisd", amavisd.port, amavisd.pid)
    finally:
        house.stop()
        amavisd.stop()


def measure(place: Path, wanted: argparse.Namespace) -> dict[int, float]:
    """The ratio of the rates for each number of connections."""
    sink_port = free_port()
    count = multiprocessing.Value("l", 0)
    sink = multiprocessing.Process(target=serve_sink, args=(sink_port, count), daemon=True)
    sink.start()
    line = b"0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWX\r\n"
    head = b"From: <sender@sender.test>\r\nTo: <info@example.org>\r\nDate: Sun, 1 Nov 2026 12:00:00 +0000\r\n"
    head += b"Subject: a subject\r\n\r\n"
    content = head + line * max(1, (wanted.size - len(head)) // len(line)) + b".\r\n"
    ratios = {}
    for connections in map(int, wanted.connections.split(",")):
        with contenders(place, sink_port, connections) as both:
            for contender in both:
                contender.run(connections * 5, connections, content)  # all processes are warm
                contender.rates.clear()
                contender.costs.clear()
            sent = count.value
            for _ in range(wanted.rounds):
                for contender in both:
                    contender.run(wanted.messages, connections, content)
            until(lambda sent=sent: count.value == sent + 2 * wanted.rounds * wanted.messages)
        scanner, amavisd = both
        ratios[connections] = max(scanner.rates) / max(amavisd.rates)
        print(f"{connections} connections, {len(content)} bytes")
        print("  " + scanner.line())
        print("  " + amavisd.line())
        print(f"  rate {ratios[connections]:.1f} times, CPU 1/{min(amavisd.costs) / max(min(scanner.costs), 0.01):.1f}")
    sink.terminate()
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=600)
    parser.add_argument("--connections", default="2,10")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--least", type=float, default=3.0, help="the ratio that is expected")
    wanted = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="posthouse-throughput-"))
    let_others_in(place)
    try:
        ratios = measure(place, wanted)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return 0 if min(ratios.values()) >= wanted.least else 1


if __name__ == "__main__":
    sys.exit(main())
