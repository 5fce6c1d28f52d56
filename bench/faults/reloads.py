#!/usr/bin/env python3
"""Reloads and stops under load: no connection refused, no mail waits, nothing is lost or doubled.

bench/faults/reloads.py [--reloads 50] [--stops 5]
"""

from __future__ import annotations

import argparse
import shutil
import smtplib
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from whole_house.house_scene import WholeHouse


class Load(threading.Thread):
    """Sends, a few messages per connection; notes when each was accepted, and what went wrong."""

    def __init__(self, house: WholeHouse, label: str, per_session: int) -> None:
        super().__init__(daemon=True)
        self.house, self.label, self.per_session = house, label, per_session
        self.accepted: dict[str, float] = {}
        self.troubles: list[str] = []
        self.ending = False
        self.number = 0

    def run(self) -> None:
        while not self.ending:
            try:
                with self.house.client() as client:
                    for _ in range(self.per_session):
                        self.number += 1
                        mark = f"{self.label}-{self.number}"
                        client.sendmail("a@sender.test", "info@example.org", f"Subject: {mark}\r\n\r\ntext\r\n")
                        self.accepted[mark] = time.time()
                        time.sleep(0.005)
                        if self.ending:
                            return
            except (OSError, smtplib.SMTPException) as trouble:
                self.troubles.append(f"{type(trouble).__name__}: {trouble}")
                time.sleep(0.01)


def delivered(house: WholeHouse) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for path in (house.mail / "info/new").iterdir():
        mark = path.read_text().partition("Subject: ")[2].partition("\n")[0]
        found.setdefault(mark, []).append(path.stat().st_mtime)
    return found


def under_load(house: WholeHouse, name: str, times: int, *, allows_refusal: bool) -> int:
    """Do it so often under load, and count."""
    loads = [Load(house, f"{name}{number}", per_session) for number, per_session in enumerate((1, 1, 30, 300))]
    for load in loads:
        load.start()
    for _ in range(times):
        time.sleep(0.3)
        for word in name.split():
            done = house.command("postfix", word)
            if done.returncode:
                raise SystemExit(f"postfix {word}: {done.stderr}")
    time.sleep(0.5)
    for load in loads:
        load.ending = True
    for load in loads:
        load.join(30)
    accepted = {mark: moment for load in loads for mark, moment in load.accepted.items()}
    troubles = [text for load in loads for text in load.troubles]
    deadline = time.monotonic() + 30
    while accepted.keys() - delivered(house).keys() and time.monotonic() < deadline:
        time.sleep(0.2)
    found = delivered(house)
    lost = accepted.keys() - found.keys()
    twice = [mark for mark in accepted if len(found.get(mark, [])) > 1]
    waits = sorted(found[mark][0] - moment for mark, moment in accepted.items() if mark in found)
    print(
        f"{times} x {name}: accepted {len(accepted)}, lost {len(lost)}, twice {len(twice)}, connections refused or "
        f"broken {len(troubles)}, longest wait from 250 to the mailbox {waits[-1]:.2f} s",
        flush=True,
    )
    for text in sorted(set(troubles))[:5]:
        print("   ", troubles.count(text), text)
    return 1 if lost or twice or (troubles and not allows_refusal) else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--stops", type=int, default=5)
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="posthouse-reload-"))
    place.chmod(0o755)
    house = WholeHouse(place)
    house.start()
    wrong = under_load(house, "reload", options.reloads, allows_refusal=False)
    wrong += under_load(house, "stop start", options.stops, allows_refusal=True)
    house.command("postfix", "stop")
    if not wrong:
        shutil.rmtree(place, ignore_errors=True)
    else:
        print(f"see {place}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
