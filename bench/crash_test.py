#!/usr/bin/env python3
"""Kills the mail server at random moments under load, and counts: accepted = delivered + queued, nothing lost.

    bench/crash_test.py [--kills 200] [--sessions 4] [--seed N]

A message counts as accepted when the client has heard 250. Duplicates can come only from a crash between a delivery and
its record; they are counted and shown.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import smtplib
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from whole_house.house_scene import WholeHouse

WINDOW_S = 0.5  # how long before a kill a delivery may have been whose record the kill prevented


class Load(threading.Thread):
    """One client that sends as fast as it is answered, and notes what was accepted."""

    def __init__(self, house: WholeHouse, name: str) -> None:
        super().__init__(daemon=True)
        self.house, self.label = house, name
        self.accepted: list[str] = []
        self.ending = False

    def run(self) -> None:
        number = 0
        while not self.ending:
            try:
                with self.house.client() as client:
                    for _ in range(50):
                        number += 1
                        mark = f"{self.label}-{number}"
                        client.sendmail("a@sender.test", "info@example.org", f"Subject: {mark}\r\n\r\n{'x' * 2000}\r\n")
                        self.accepted.append(mark)
                        if self.ending:
                            return
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)


def delivered(house: WholeHouse) -> dict[str, list[float]]:
    """When each mark was written into the Maildir, as often as it was, in order."""
    found: dict[str, list[float]] = {}
    for path in (house.mail / "info/new").iterdir():
        mark = path.read_text().partition("Subject: ")[2].partition("\n")[0]
        found.setdefault(mark, []).append(path.stat().st_mtime)
    return {mark: sorted(times) for mark, times in found.items()}


def is_explained(times: list[float], kills: list[float]) -> bool:
    """Whether every copy but the last was written just before a kill: delivered, and not yet recorded."""
    return all(any(kill - WINDOW_S <= written <= kill + 0.1 for kill in kills) for written in times[:-1])


def children(pid: int) -> list[int]:
    """The processes that a process has started and not yet buried."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def family(house: WholeHouse) -> dict[int, str]:
    """Every process of the house with what it is: master, agents (the host), agent child, worker."""
    master = house.master
    found = {master: "master"}
    for child in children(master):
        below = children(child)
        with open(f"/proc/{child}/status") as file:
            is_worker = "\nThreads:\t1\n" not in file.read()
        found[child] = "worker" if is_worker else "agent host"
        found |= dict.fromkeys(below, "agent child")
    return found


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that waits to be buried does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill_one(house: WholeHouse, slowest: list[float]) -> str:
    """SIGKILL for a process of the house: first the kind is picked at random, then one of it."""
    members = family(house)
    kind = random.choice(sorted(set(members.values())))
    victim = random.choice([pid for pid, role in members.items() if role == kind])
    os.kill(victim, signal.SIGKILL)
    if kind == "master":
        start_again(house, slowest)
        expect_nobody(members)
    return kind


def start_again(house: WholeHouse, slowest: list[float]) -> None:
    """Start; a lock that a dying worker still holds is waited for by the command itself."""
    before = time.monotonic()
    done = house.command("postfix", "start")
    if done.returncode:
        raise SystemExit(f"postfix start: {done.stderr}")
    slowest[0] = max(slowest[0], time.monotonic() - before)


def expect_nobody(pids: Iterable[int], limit: float = 5.0) -> None:
    """None of the processes of a master that was killed may stay."""
    deadline = time.monotonic() + limit
    while left := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > deadline:
            raise SystemExit(f"left behind: {left}")
        time.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    random.seed(options.seed)
    place = Path(tempfile.mkdtemp(prefix="posthouse-crash-"))
    place.chmod(0o755)
    house = WholeHouse(place, "minimal_backoff_time = 1s\nmaximal_backoff_time = 2s\nqueue_run_delay = 1s\n")
    house.start()
    loads = [Load(house, f"client{number}") for number in range(options.sessions)]
    for load in loads:
        load.start()
    kinds: Counter[str] = Counter()
    slowest, moments = [0.0], list[float]()
    for number in range(options.kills):
        time.sleep(random.uniform(0.02, 0.5))
        moments.append(time.time())
        try:
            kinds[kill_one(house, slowest)] += 1
        except (OSError, ValueError):
            kinds["nobody there"] += 1
        if number % 20 == 19:
            print(f"{number + 1} kills {dict(kinds)}, {sum(len(load.accepted) for load in loads)} accepted", flush=True)
    for load in loads:
        load.ending = True
    for load in loads:
        load.join(30)
    print(f"the slowest start after a killed master took {slowest[0]:.2f} s; no process was left behind")
    return account(house, [mark for load in loads for mark in load.accepted], moments)


def account(house: WholeHouse, accepted: list[str], kills: list[float]) -> int:
    """Wait until the queue is empty, and compare."""
    deadline = time.monotonic() + 90
    lost = set(accepted)
    while lost and time.monotonic() < deadline:
        time.sleep(1)
        lost -= set(delivered(house))
    found = delivered(house)
    queued = house.command("postqueue", "-j").stdout.count("\n")
    members = family(house)
    duplicates = sum(len(times) - 1 for times in found.values())
    unexplained = [mark for mark, times in found.items() if not is_explained(times, kills)]
    unanswered = len(set(found) - set(accepted))
    there = len(accepted) - len(lost)
    print(f"accepted {len(accepted)} = delivered {there} + queued {queued} + lost {len(lost) - queued}")
    print(f"delivered twice {duplicates}, of which not within {WINDOW_S} s before a kill: {len(unexplained)}")
    print(f"delivered although the client heard no answer {unanswered}")
    house.stop()
    expect_nobody(members)
    good = len(lost) <= queued and not unexplained
    if good and not queued:
        shutil.rmtree(house.place, ignore_errors=True)
    else:
        print(f"see {house.place}: {unexplained[:5]}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
