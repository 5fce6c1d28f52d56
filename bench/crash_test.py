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
import signal
import smtplib
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from whole_house.house_scene import WholeHouse


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


def delivered(house: WholeHouse) -> Counter[str]:
    """How often each mark lies in the Maildir."""
    found: Counter[str] = Counter()
    for text in house.maildir("info"):
        found[text.partition("Subject: ")[2].partition("\n")[0]] += 1
    return found


def kill_one(house: WholeHouse) -> str:
    """SIGKILL for a process of the house, picked at random; which it was."""
    master = house.master
    with open(f"/proc/{master}/task/{master}/children") as file:
        family = [master, *map(int, file.read().split())]
    victim = random.choice(family)
    os.kill(victim, signal.SIGKILL)
    if victim == master:
        start_again(house)
        return "master"
    return "child"


def start_again(house: WholeHouse) -> None:
    """Start; a lock that a dying worker still holds is waited for by the command itself."""
    done = house.command("postfix", "start")
    if done.returncode:
        raise SystemExit(f"postfix start: {done.stderr}")


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
    for number in range(options.kills):
        time.sleep(random.uniform(0.02, 0.5))
        try:
            kinds[kill_one(house)] += 1
        except (OSError, ValueError):
            kinds["nobody there"] += 1
        if number % 20 == 19:
            print(f"{number + 1} kills {dict(kinds)}, {sum(len(load.accepted) for load in loads)} accepted", flush=True)
    for load in loads:
        load.ending = True
    for load in loads:
        load.join(30)
    return account(house, [mark for load in loads for mark in load.accepted])


def account(house: WholeHouse, accepted: list[str]) -> int:
    """Wait until the queue is empty, and compare."""
    deadline = time.monotonic() + 90
    lost = set(accepted)
    while lost and time.monotonic() < deadline:
        time.sleep(1)
        lost -= set(delivered(house))
    found = delivered(house)
    queued = house.command("postqueue", "-j").stdout.count("\n")
    duplicates = sum(count - 1 for count in found.values())
    unanswered = len(set(found) - set(accepted))
    there = len(accepted) - len(lost)
    print(f"accepted {len(accepted)} = delivered {there} + queued {queued} + lost {len(lost) - queued}")
    print(f"delivered twice {duplicates}; delivered although the client heard no answer {unanswered}")
    house.stop()
    return 0 if len(lost) <= queued else 1


if __name__ == "__main__":
    sys.exit(main())
