#!/usr/bin/env python3
"""What a long queue costs: the same mail through a house with an empty queue and with many deferred messages in it.

    bench/long_queue.py [--queued 100000] [--messages 3000] [--rounds 3]

Prints, for both: seconds until the house is open, messages per second accepted and delivered to a Maildir, seconds
until `postqueue -p` prints its first line, and the most memory that the command and a worker took. Needs smtp-source.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.queue import record, rows
from posthouse.queue.queue_id import QueueIds
from posthouse.queue.sqlite import StoreFile
from whole_house.house_scene import WholeHouse, owner

PORTION = 5_000
WAITS = Deferred(Status("4.4.1", 0, "connect to mx.far.test[203.0.113.1]:25: Connection timed out"))


@dataclass
class Figures:
    """Of one round, or the best of several."""

    start: list[float] = field(default_factory=list)
    accept: list[float] = field(default_factory=list)
    deliver: list[float] = field(default_factory=list)
    first_line: list[float] = field(default_factory=list)
    listing: list[float] = field(default_factory=list)
    command_mb: list[float] = field(default_factory=list)
    worker_mb: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        speed = (
            f"accepts {max(self.accept):.0f}/s, delivers {max(self.deliver):.0f}/s, CPU {min(self.cpu_ms):.2f} ms each"
        )
        listing = f"begins after {min(self.first_line):.2f} s, takes {min(self.listing):.1f} s"
        memory = f"{max(self.command_mb):.0f} MB; worker {max(self.worker_mb):.0f} MB"
        return f"{name:>8} queued: open after {min(self.start):.2f} s, {speed}; postqueue -p {listing} and {memory}"


def fill(directory: Path, count: int) -> None:
    """Deferred messages of 4 KB that are due within the hour, written as the store writes them."""
    ids, now = QueueIds(0), time.time()
    content = Content(b"Subject: waiting\nFrom: a@example.org\n", b"\n" + b"x" * 70 + b"\n" * 4000)
    progress = record.write_progress([], {0: WAITS}, warned=False, attempts=3)
    file = StoreFile(f"{directory}/queue-0.sqlite", f"{directory}/spool")
    file.open()
    for start in range(0, count, PORTION):
        file.connection.execute("BEGIN")
        for number in range(start, min(start + PORTION, count)):
            envelope = Envelope("info@example.org", (Recipient(f"u{number}@d{number % 500}.test"),))
            message = QueuedMessage(ids.new(), now - 3600, envelope, content, content.size, due=now + 2400)
            row = rows.write_message(message)
            rows.insert(file.connection, [row])
            rows.add_progress(file.connection, row[0], progress)
        file.connection.execute("COMMIT")
    file.close()
    if os.getuid() == 0:
        for path in [directory, *directory.rglob("*")]:
            shutil.chown(path, owner().pw_name, pwd.getpwuid(owner().pw_uid).pw_gid)


def memory_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


def measure(house: WholeHouse, messages: int, into: Figures) -> None:
    before = time.monotonic()
    house.start()
    into.start.append(time.monotonic() - before)
    source = [shutil.which("smtp-source", path="/usr/sbin:/usr/bin") or "smtp-source", "-s", "10", "-l", "4096"]
    had, used = count(house), cpu_s(house)
    before = time.monotonic()
    words = ["-m", str(messages), "-f", "a@sender.test", "-t", "info@example.org", f"inet:127.0.0.1:{house.port}"]
    subprocess.run([*source, *words], check=True)
    into.accept.append(messages / (time.monotonic() - before))
    while count(house) < had + messages:
        time.sleep(0.05)
    into.deliver.append(messages / (time.monotonic() - before))
    into.cpu_ms.append((cpu_s(house) - used) * 1000 / messages)
    list_queue(house, into)
    with open(f"/proc/{house.master}/task/{house.master}/children") as file:
        into.worker_mb.append(max(memory_mb(int(pid)) for pid in file.read().split()))
    house.stop()


def cpu_s(house: WholeHouse) -> float:
    """What the children of master have used so far."""
    total = 0
    with open(f"/proc/{house.master}/task/{house.master}/children") as file:
        family = file.read().split()
    for pid in family:
        with open(f"/proc/{pid}/stat") as file:
            total += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def count(house: WholeHouse) -> int:
    folder = house.mail / "info/new"
    return len(os.listdir(folder)) if folder.exists() else 0


def list_queue(house: WholeHouse, into: Figures) -> None:
    before = time.monotonic()
    words = [sys.executable, "-m", "posthouse.commands.postqueue", "-c", str(house.conf), "-p"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        into.first_line.append(time.monotonic() - before)
        lines = 0
        for number, _ in enumerate(process.stdout):
            lines = number
            if number % 1000 == 0:
                into.command_mb.append(memory_mb(process.pid))
        into.listing.append(time.monotonic() - before)
    into.command_mb = into.command_mb or [0.0]
    del lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    houses: dict[int, WholeHouse] = {}
    for queued in (0, options.queued):
        place = Path(tempfile.mkdtemp(prefix="posthouse-queue-"))
        place.chmod(0o755)
        houses[queued] = WholeHouse(place)
        directory = place / "queue/posthouse"
        directory.mkdir(parents=True)
        before = time.monotonic()
        fill(directory, queued)
        if queued:
            print(f"wrote {queued} messages in {time.monotonic() - before:.1f} s", flush=True)
    figures = {queued: Figures() for queued in houses}
    for number in range(options.rounds):
        for queued, house in list(houses.items())[:: -1 if number % 2 else 1]:  # in turn: the machine has its moods
            measure(house, options.messages, figures[queued])
    for queued, found in figures.items():
        print(found.line(str(queued)))
    for house in houses.values():
        shutil.rmtree(house.place, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
