#!/usr/bin/env python3
"""Faults of filters at random moments: accepted = delivered + bounced + discarded + queued, nothing lost or doubled.

    bench/filter_faults.py [--faults 1000] [--sessions 8] [--seed N]

Mail comes in by four doors: to a filter behind the queue by smtp, to one by pipe, through a filter before the queue
(with speed_adjust and without), and past a milter. The filters hang, close, talk nonsense, drip, refuse, give mail back
twice or give it back and say that they did not (faulty_filter.py); meanwhile they and the house's own processes are
killed. A mail may be there twice only where its filter gave it back more than once, or a kill fell near.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from crash_test import expect_nobody, family, kill_one

from whole_house.house_scene import WholeHouse, free_port, owner, until

MAIN_CF = """
mynetworks = 127.0.0.0/8
recipient_delimiter = +
virtual_mailbox_maps = inline:{ info@example.org=info/, sender@example.org=sender/ }
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
smtpd_proxy_timeout = 2s
milter_connect_timeout = 2s
milter_command_timeout = 2s
milter_content_timeout = 2s
filter_destination_concurrency_failed_cohort_limit = 100000
filter_destination_concurrency_limit = 20
pipefilter_destination_concurrency_failed_cohort_limit = 100000
pipefilter_time_limit = 3s
notify_classes =
smtpd_client_connection_count_limit = 0
"""
MASTER_CF = """\
127.0.0.1:{door[smtp]} inet n - n - - smtpd
 -o content_filter=filter:[127.0.0.1]:{filter[smtp]}
127.0.0.1:{door[pipe]} inet n - n - - smtpd
 -o content_filter=pipefilter:dummy
127.0.0.1:{door[proxy]} inet n - n - - smtpd
 -o smtpd_proxy_filter=127.0.0.1:{filter[proxy]}
127.0.0.1:{door[adjusted]} inet n - n - - smtpd
 -o smtpd_proxy_filter=127.0.0.1:{filter[proxy]}
 -o smtpd_proxy_options=speed_adjust
127.0.0.1:{door[milter]} inet n - n - - smtpd
 -o smtpd_milters=inet:127.0.0.1:{filter[milter]}
127.0.0.1:{back} inet n - n - - smtpd
 -o content_filter=
 -o smtpd_recipient_restrictions=permit_mynetworks,reject
 -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks
filter unix - - n - 10 smtp
pipefilter unix - n n - 10 pipe
 user={user} argv={python} -I -S {script} pipe {back} {events} {share} ${{sender}},${{recipient}}
"""
KINDS = ("smtp", "proxy", "milter")
DOORS = ("smtp", "pipe", "proxy", "adjusted", "milter")
NEAR_S = 0.6  # around the kill of a process of the house


class Load(threading.Thread):
    """A client that sends through all doors in turn, one session for a message or for several."""

    def __init__(self, label: str, doors: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.label, self.doors = label, doors
        self.accepted: dict[str, str] = {}
        self.refused = self.number = 0
        self.ending = False

    def run(self) -> None:
        while not self.ending:
            door = random.choice(DOORS)
            try:
                with smtplib.SMTP("127.0.0.1", self.doors[door], "client.example.net", timeout=30) as client:
                    for _ in range(random.choice((1, 1, 3))):
                        self.send_one(client, door)
            except (OSError, smtplib.SMTPException):
                self.refused += 1
                time.sleep(0.02)

    def send_one(self, client: smtplib.SMTP, door: str) -> None:
        self.number += 1
        mark = f"{self.label}x{self.number}"
        body = "a line of text\r\n.a line with a dot\r\n" * random.choice((1, 20, 400))
        text = f"Subject: {mark}\r\nX-Mark: {mark}\r\nX-Door: {door}\r\n\r\n{body}"
        client.sendmail(f"sender+{mark}@example.org", f"info+{mark}@example.org", text)
        self.accepted[mark] = door


class Weather:
    """The filters' processes, what they note, and when somebody was killed."""

    def __init__(self, place: Path, ports: dict[str, int], back: int, share: int) -> None:
        self.ports, self.back, self.share = ports, back, share
        self.script = place / "faulty_filter.py"
        shutil.copy(Path(__file__).parent / "faulty_filter.py", self.script)
        self.events = place / "events"
        self.events.touch()
        self.events.chmod(0o666)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kills: list[float] = []

    def start(self, kind: str) -> None:
        words = [kind, str(self.ports[kind]), str(self.back), str(self.events), str(self.share)]
        self.processes[kind] = subprocess.Popen([sys.executable, str(self.script), *words])

    def kill_filter(self) -> str:
        kind = random.choice(KINDS)
        self.processes[kind].send_signal(signal.SIGKILL)
        self.processes[kind].wait()
        time.sleep(random.choice((0, 0.5)))
        self.start(kind)
        return f"{kind} filter"

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def noted(self) -> dict[str, dict[str, list[float]]]:
        """Kind of event -> mark -> times."""
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for line in self.events.read_text().splitlines():
            kind, moment, mark, _ = line.split(" ", 3)
            found[kind][mark].append(float(moment))
        return found

    def faults(self) -> Counter[str]:
        lines = self.events.read_text().splitlines()
        return Counter(line.split(" ", 3)[3] for line in lines if line.startswith("fault "))

    def is_near_kill(self, moment: float) -> bool:
        return any(abs(kill - moment) <= NEAR_S for kill in self.kills)


def build(place: Path, ports: dict[str, dict[str, int]], weather: Weather) -> WholeHouse:
    house = WholeHouse(place, MAIN_CF)
    user = "daemon" if os.getuid() == 0 else owner().pw_name
    with (house.conf / "master.cf").open("a") as file:
        file.write(MASTER_CF.format(
            **ports, back=weather.back, user=user, python=sys.executable, script=weather.script, events=weather.events,
            share=weather.share,
        ))  # fmt: skip
    return house


def queued(house: WholeHouse) -> dict[str, str]:
    """Mark -> where in the queue it is."""
    found = {}
    for row in map(json.loads, house.command("postqueue", "-j").stdout.splitlines()):
        for recipient in row["recipients"]:
            found[recipient["address"].partition("+")[2].partition("@")[0]] = row["queue_name"]
    return found


def found_in(house: WholeHouse, box: str) -> dict[str, list[float]]:
    """Mark -> when it was written there."""
    found: dict[str, list[float]] = defaultdict(list)
    folder = house.mail / box / "new"
    for path in folder.iterdir() if folder.exists() else ():
        mark = re.search(r"^X-Mark: (\S+)", path.read_text(), re.MULTILINE)
        found[mark[1] if mark else "no mark"].append(path.stat().st_mtime)
    return found


def account(house: WholeHouse, weather: Weather, accepted: dict[str, str]) -> int:
    """Where each accepted message is; 1 where one is nowhere, or twice without a reason."""
    left, delivered, bounced, noted = queued(house), found_in(house, "info"), found_in(house, "sender"), weather.noted()
    totals: Counter[str] = Counter()
    wrong: list[str] = []
    for mark, door in accepted.items():
        copies, notices = delivered.get(mark, []), bounced.get(mark, [])
        returns, taken = noted["returning"].get(mark, []), noted["taken"].get(mark, [])
        places = {"delivered": copies, "bounced": notices, "queued": mark in left,
                  "discarded": noted["discarded"].get(mark)}  # fmt: skip
        state = next((name for name, holds in places.items() if holds), "LOST")
        totals[state] += 1
        totals["more than once, as the filter gave it back"] += 1 < len(copies) <= len(returns)
        near = any(map(weather.is_near_kill, copies + notices + returns + taken))
        totals["more than once after a kill"] += len(copies) > max(len(returns), 1) and near
        # A filter that was killed, and whose mail was tried again, shows in what was given back.
        explained = len(copies) <= max(len(returns), 1) and len(taken) <= 1 and len(notices) <= 1
        if state == "LOST" or not (explained or near):
            wrong.append(f"{mark} by {door}: {places} returned {returns} taken {taken}")
    print(f"{len(accepted)} accepted: " + ", ".join(f"{name} {count}" for name, count in totals.items()))
    print(f"unfiltered {unfiltered(house)}; held {sum(where == 'hold' for where in left.values())}")
    print(f"contradictions {len(wrong)}")
    for text in wrong[:10]:
        print("  ", text)
    return 1 if wrong or unfiltered(house) else 0


def unfiltered(house: WholeHouse) -> int:
    """Messages that came by a filter's door and were delivered without having seen the filter."""
    folder = house.mail / "info/new"
    texts = [path.read_text() for path in folder.iterdir()] if folder.exists() else []
    return sum("\nX-Filtered: yes\n" not in text for text in texts if not _by_milter(text))


def _by_milter(text: str) -> bool:
    return "\nX-Door: milter\n" in text


def run(house: WholeHouse, weather: Weather, doors: dict[str, int], options: argparse.Namespace) -> int:
    for kind in KINDS:
        weather.start(kind)
    house.start()
    loads = [Load(f"c{number}", doors) for number in range(options.sessions)]
    for load in loads:
        load.start()
    killed: Counter[str] = Counter()
    slowest = [0.0]
    while weather.faults().total() + killed.total() < options.faults:
        time.sleep(random.uniform(0.5, 3))
        if random.random() < 0.6:
            killed[weather.kill_filter()] += 1
        else:
            weather.kills.append(time.time())
            killed[kill_one(house, slowest)] += 1
            weather.kills.append(time.time())
    for load in loads:
        load.ending = True
    for load in loads:
        load.join()
    return settle(house, weather, loads, killed)


def settle(house: WholeHouse, weather: Weather, loads: list[Load], killed: Counter[str]) -> int:
    """Fair weather; then the counting."""
    Path(f"{weather.events}.fair").touch()
    accepted = {mark: door for load in loads for mark, door in load.accepted.items()}
    faults = weather.faults()
    by_filter: Counter[str] = Counter()
    for what, count in faults.items():
        by_filter[what.split(" ")[0]] += count
    print(f"{faults.total()} faults {dict(by_filter)} of {len(faults)} kinds; killed {dict(killed)}; "
          f"refused sessions {sum(load.refused for load in loads)}", flush=True)  # fmt: skip
    until(lambda: set(queued(house).values()) <= {"hold"}, 240)
    code = account(house, weather, accepted)
    members = family(house)
    house.stop()
    expect_nobody(members)
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--share", type=int, default=50, help="of a hundred transactions, how many fail")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    random.seed(options.seed)
    place = Path(tempfile.mkdtemp(prefix="posthouse-filters-"))
    place.chmod(0o755)
    ports = {"door": {name: free_port() for name in DOORS}, "filter": {name: free_port() for name in KINDS}}
    weather = Weather(place, ports["filter"], free_port(), options.share)
    house = build(place, ports, weather)
    try:
        code = run(house, weather, ports["door"], options)
    finally:
        weather.stop()
        house.stop()
    if code:
        print(f"see {place}")
    else:
        shutil.rmtree(place, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
