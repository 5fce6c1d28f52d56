#!/usr/bin/env python3
"""Whether the mail of some delays that of others: seconds from DATA to arrival at a healthy far end, alone, then beside
a slow and a dead destination with thousands of messages each; and of a letter beside a newsletter.

    bench/faults/fairness.py [--crowd 3000] [--recipients 50000]
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from whole_house.house_scene import WholeHouse, free_port, until

MAIN_CF = """
mynetworks = 127.0.0.0/8
queue_run_delay = 5s
minimal_backoff_time = 5s
maximal_backoff_time = 10s
smtp_connect_timeout = 3s
smtpd_recipient_limit = 100000
transport_maps = inline:{{ {{healthy.test=smtp:[127.0.1.1]:{healthy}}}, {{slow.test=smtp:[127.0.1.2]:{slow}}},
    {{dead.test=smtp:[127.0.1.3]:{dead}}}, {{hung.test=smtp:[127.0.1.4]:{hung}}} }}
"""
SLOW_S = 3.0


class FarEnd(threading.Thread):
    """Takes everything, and notes when each subject came, and for how many."""

    def __init__(self, pause: float, *, hangs: bool = False) -> None:
        super().__init__(daemon=True)
        self.port, self.pause, self.hangs = free_port(), pause, hangs
        self.arrived: dict[str, float] = {}
        self.recipients = 0
        self.start()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._session, "0.0.0.0", self.port, backlog=1000, limit=1 << 22)
        await server.serve_forever()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.hangs:
            await asyncio.sleep(3600)
        writer.write(b"220 far\r\n")
        try:
            while line := await reader.readline():
                word = line[:4].upper()
                if word == b"EHLO":
                    writer.write(b"250-far\r\n250 PIPELINING\r\n")
                elif word == b"DATA":
                    writer.write(b"354 go\r\n")
                    text = await reader.readuntil(b"\r\n.\r\n")
                    await asyncio.sleep(self.pause)
                    self.arrived[text.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()] = time.monotonic()
                    writer.write(b"250 ok\r\n")
                elif word == b"QUIT":
                    break
                else:
                    self.recipients += word == b"RCPT"
                    writer.write(b"250 ok\r\n")
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.close()


def latencies(house: WholeHouse, far: FarEnd, name: str, count: int = 200) -> str:
    """Send at 20 a second; the seconds until each arrived."""
    sent: dict[str, float] = {}
    with house.client() as client:
        for number in range(count):
            mark = f"{name}-{number}"
            sent[mark] = time.monotonic()
            client.sendmail("a@sender.test", f"u{number}@healthy.test", f"Subject: {mark}\r\n\r\ntext\r\n")
            time.sleep(0.05)
    until(lambda: sent.keys() <= far.arrived.keys(), 60)
    took = sorted(far.arrived[mark] - moment for mark, moment in sent.items())
    median, most, of_all = took[count // 2], took[count * 19 // 20], took[-1]
    return f"median {median * 1000:.0f} ms, 95 % {most * 1000:.0f} ms, most {of_all * 1000:.0f} ms"


def crowd(house: WholeHouse, domain: str, count: int) -> None:
    with house.client() as client:
        for number in range(count):
            client.sendmail("a@sender.test", f"u{number}@{domain}", f"Subject: {number}\r\n\r\ntext\r\n")


def newsletter(house: WholeHouse, count: int) -> None:
    """One message in one transaction."""
    with house.client() as client:
        client.ehlo()
        client.mail("a@sender.test")
        for start in range(0, count, 1000):
            client.sock.sendall(b"".join(b"RCPT TO:<r%d@healthy.test>\r\n" % n for n in range(start, start + 1000)))
            for _ in range(1000):
                code, text = client.getreply()
                assert code == 250, text
        code, text = client.data("Subject: newsletter\r\n\r\ntext\r\n")
        assert code == 250, text


def letter(house: WholeHouse, far: FarEnd, mark: str) -> float:
    before = time.monotonic()
    with house.client() as client:
        client.sendmail("a@sender.test", ["one@healthy.test", "two@healthy.test"], f"Subject: {mark}\r\n\r\ntext\r\n")
    until(lambda: mark in far.arrived, 120)
    return far.arrived[mark] - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crowd", type=int, default=3000)
    parser.add_argument("--recipients", type=int, default=50_000)
    options = parser.parse_args()
    healthy, slow, hung = FarEnd(0.0), FarEnd(SLOW_S), FarEnd(0.0, hangs=True)
    place = Path(tempfile.mkdtemp(prefix="posthouse-fairness-"))
    place.chmod(0o755)
    ports = {"healthy": healthy.port, "slow": slow.port, "dead": free_port(), "hung": hung.port}
    house = WholeHouse(place, MAIN_CF.format(**ports))
    house.start()
    try:
        print("healthy alone:", latencies(house, healthy, "alone"), flush=True)
        for domain in ("slow.test", "dead.test", "hung.test"):
            crowd(house, domain, options.crowd)
        text = latencies(house, healthy, "crowded")
        print(f"beside a slow, a dead and a hanging one with {options.crowd} messages each:", text, flush=True)
        healthy.pause = 0.05
        before = time.monotonic()
        newsletter(house, options.recipients)
        print(f"newsletter for {options.recipients}: accepted in {time.monotonic() - before:.1f} s", flush=True)
        for number in range(5):
            took = letter(house, healthy, f"letter {number}")
            print(f"letter for two: arrived after {took:.2f} s (newsletter: {healthy.recipients} RCPT)", flush=True)
            time.sleep(1)
        until(lambda: healthy.recipients >= options.recipients, 300)
        print(f"newsletter delivered after {time.monotonic() - before:.1f} s", flush=True)
    finally:
        house.command("postfix", "abort")
        shutil.rmtree(place, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
