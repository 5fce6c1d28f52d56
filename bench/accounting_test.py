#!/usr/bin/env python3
"""Counts every recipient of every accepted message: delivered + bounced + queued + discarded, in the worst weather.

    bench/accounting_test.py [--messages 10000] [--kills 50] [--sessions 8] [--seed N]

Mail goes to a server that hangs, closes, floods and refuses at random (faulty_far_end.py), while processes of the house
are killed. A recipient may be found twice only where the far end took mail without saying so (RFC 1047), or where a
kill fell between a delivery and its record.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from crash_test import WINDOW_S, expect_nobody, family, kill_one

from whole_house.house_scene import WholeHouse, free_port

MAIN_CF = """
mynetworks = 127.0.0.0/8
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
smtp_connect_timeout = 2s
smtp_helo_timeout = 2s
smtp_mail_timeout = 2s
smtp_rcpt_timeout = 2s
smtp_data_init_timeout = 2s
smtp_data_xfer_timeout = 2s
smtp_data_done_timeout = 2s
smtp_quit_timeout = 1s
bounce_size_limit = 2000
transport_maps = regexp:{conf}/transport
"""
DESTINATIONS = 60


class Load(threading.Thread):
    """A client that takes numbers off a common list, and notes what was accepted for whom."""

    def __init__(self, house: WholeHouse, label: str, total: int) -> None:
        super().__init__(daemon=True)
        self.house, self.label, self.total = house, label, total
        self.accepted: dict[str, list[str]] = {}
        self.number = 0

    def run(self) -> None:
        while len(self.accepted) < self.total:
            try:
                with self.house.client() as client:
                    for _ in range(20):
                        self.send_one(client)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)

    def send_one(self, client: smtplib.SMTP) -> None:
        self.number += 1
        mark = f"{self.label}-{self.number}"
        recipients = [an_address() for _ in range(random.choice((1, 1, 2, 5)))]
        text = f"Subject: {mark}\r\nX-Mark: {mark}\r\n\r\n{'x' * 500}\r\n"
        client.sendmail("info@example.org", recipients, text)
        self.accepted[mark] = sorted(set(recipients))


def an_address() -> str:
    number = random.randrange(DESTINATIONS + 3)
    domain = f"d{number}.test" if number < DESTINATIONS else "discard.test"
    return f"u{random.randrange(10**9)}@{domain}"


def build(place: Path, far_port: int) -> WholeHouse:
    house = WholeHouse(place, MAIN_CF.format(conf=place / "conf"))
    lines = [f"/@d{n}\\.test$/ smtp:[127.0.1.{n + 1}]:{far_port}" for n in range(DESTINATIONS)]
    (house.conf / "transport").write_text("\n".join([*lines, "/@discard\\.test$/ discard:by rule"]) + "\n")
    return house


def queued(house: WholeHouse) -> dict[str, set[str]]:
    """Queue id -> open recipients."""
    rows = map(json.loads, house.command("postqueue", "-j").stdout.splitlines())
    return {row["queue_id"]: {r["address"] for r in row["recipients"]} for row in rows}


def wait_for_rest(house: WholeHouse, limit: float = 240.0) -> dict[str, set[str]]:
    deadline = time.monotonic() + limit
    while (left := queued(house)) and time.monotonic() < deadline:
        time.sleep(1)
    return left


def bounces(house: WholeHouse) -> dict[tuple[str, str], set[str]]:
    """(mark, recipient) -> message ids of the notices that name it."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in (house.mail / "info/new").iterdir():
        text = path.read_text(errors="replace")
        if "Undelivered Mail Returned" not in text:
            continue
        mark = re.search(r"^X-Mark: (\S+)", text, re.MULTILINE)
        identity = re.search(r"^Message-Id: (\S+)", text, re.MULTILINE | re.IGNORECASE)
        for address in re.findall(r"^Final-Recipient: rfc822; ?(\S+)", text, re.MULTILINE):
            found[mark[1], address].add(identity[1])
    return found


def far_events(path: Path) -> dict[str, dict[tuple[str, str], list[float]]]:
    found: dict[str, dict[tuple[str, str], list[float]]] = {"acked": defaultdict(list), "taken": defaultdict(list)}
    for line in path.read_text().splitlines():
        what, moment, mark, address = line.split(" ")
        found[what][mark, address].append(float(moment))
    return found


def discarded(house: WholeHouse) -> set[str]:
    """The recipients that the log says were thrown away by rule."""
    return set(re.findall(r"discard\[\d+\]: \w+: to=<([^>]+)>.* status=sent", house.log))


def is_near(moment: float, kills: list[float]) -> bool:
    """Whether a kill may have prevented the record of what happened then."""
    return any(kill - WINDOW_S <= moment <= kill + 0.5 for kill in kills)


def account(house: WholeHouse, events: Path, accepted: dict[str, list[str]], kills: list[float]) -> int:
    """Where each recipient is; 1 where one is nowhere, or twice without a reason."""
    left = wait_for_rest(house)
    waiting = {address for addresses in left.values() for address in addresses}
    far, notices, thrown_away = far_events(events), bounces(house), discarded(house)
    totals: Counter[str] = Counter()
    wrong: list[str] = []
    for key in [(mark, address) for mark, addresses in accepted.items() for address in addresses]:
        acked, taken, notified = far["acked"].get(key, []), far["taken"].get(key, []), notices.get(key, set())
        places = {
            "delivered": bool(acked),
            "bounced": bool(notified),
            "queued": key[1] in waiting,
            "discarded": key[1] in thrown_away,
        }
        states = [name for name, holds in places.items() if holds] or ["LOST"]
        totals["recipients"] += 1
        totals[states[0]] += 1
        totals["taken without an answer first"] += bool(taken)
        totals["delivered again after a kill"] += max(len(acked) - 1, 0)
        explained = all(is_near(moment, kills) for moment in sorted(acked)[:-1])
        if len(states) > 1:
            explained = explained and any(is_near(moment, kills) for moment in acked)
        if states == ["LOST"] or not explained or len(notified) > 1:
            wrong.append(f"{key}: {states} acked {acked} taken {taken} notices {notified}")
    print(", ".join(f"{name} {count}" for name, count in totals.items()))
    print(f"messages left in the queue {len(left)}; contradictions {len(wrong)}")
    for text in wrong[:10]:
        print("  ", text)
    members = family(house)
    house.stop()
    expect_nobody(members)
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    random.seed(options.seed)
    place = Path(tempfile.mkdtemp(prefix="posthouse-accounting-"))
    place.chmod(0o755)
    events, port = place / "events", free_port()
    events.touch()
    far_end = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "faulty_far_end.py"), str(port), str(events)]
    )
    house = build(place, port)
    try:
        code = run(house, events, options)
    finally:
        far_end.kill()
        far_end.wait()
        house.stop()
    if not code:
        shutil.rmtree(place, ignore_errors=True)
    else:
        print(f"see {place}")
    return code


def run(house: WholeHouse, events: Path, options: argparse.Namespace) -> int:
    house.start()
    share = options.messages // options.sessions
    loads = [Load(house, f"c{number}", share) for number in range(options.sessions)]
    for load in loads:
        load.start()
    kinds: Counter[str] = Counter()
    moments: list[float] = []
    slowest = [0.0]
    while any(load.is_alive() for load in loads) or len(moments) < options.kills:
        time.sleep(random.uniform(0.2, 1.5))
        if len(moments) < options.kills:
            moments.append(time.time())
            try:
                kinds[kill_one(house, slowest)] += 1
            except (OSError, ValueError):
                kinds["nobody there"] += 1
    accepted = {mark: addresses for load in loads for mark, addresses in load.accepted.items()}
    print(f"{len(accepted)} messages accepted; killed {dict(kinds)}; {len(queued(house))} still queued", flush=True)
    Path(f"{events}.fair").touch()
    return account(house, events, accepted, moments)


if __name__ == "__main__":
    sys.exit(main())
