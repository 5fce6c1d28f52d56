"""Plays random policy requests to the real postgrey (Debian's package) and to ours, and compares the actions.

    python bench/greylist_differential.py [REQUESTS] [SEED]

Both run with --delay=2 and --auto-whitelist-clients=3 on ports of their own; time passes between the requests.
Needs root
and the user "postgrey", as the real one does. Exits with 1 when an action differs.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

REAL = "/usr/sbin/postgrey"
OURS = os.path.join(os.path.dirname(sys.executable), "postgrey")
CLIENT_LIST = "listed.test\n/^mx\\d+\\.pool\\./\n192.0.2.7\n10.7.7\n172.16.0.0/30\n2001:db8:5::/48\n"
RECIPIENT_LIST = "postmaster@\ndirect@example.org\nopen.example\n/^re.*@example\\.net$/\n"
DELAY_S = 2


class Server:
    """One postgrey, and a connection to it."""

    def __init__(self, command: str, folder: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        os.makedirs(f"{folder}/db")
        for name, text in (("clients", CLIENT_LIST), ("recipients", RECIPIENT_LIST)):
            with open(f"{folder}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        shutil.chown(f"{folder}/db", "postgrey")
        words = [command, f"--inet=127.0.0.1:{port}", "--user=postgrey", "--group=nogroup", f"--dbdir={folder}/db"]
        words += [f"--delay={DELAY_S}", "--auto-whitelist-clients=3", "--hostname=mail.example.com", "--quiet"]
        words += [f"--whitelist-clients={folder}/clients", f"--whitelist-recipients={folder}/recipients"]
        self.process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        self.socket = self._connect(port)
        self.file = self.socket.makefile("rb")

    @staticmethod
    def _connect(port: int) -> socket.socket:
        for _ in range(200):
            try:
                return socket.create_connection(("127.0.0.1", port))
            except OSError:
                time.sleep(0.05)
        raise SystemExit("a postgrey did not start")

    def send(self, request: bytes) -> None:
        self.socket.sendall(request)

    def action(self) -> str:
        line = self.file.readline().decode()
        self.file.readline()
        return re.sub(r"delayed (\d+) seconds by postgrey-\S+ at (\S+);.*", r"delayed \1 by \2", line.strip())

    def end(self) -> None:
        self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def make_request(dice: random.Random, number: int) -> bytes:
    """A request out of a small world, so that triplets, clients and messages come again."""
    clients = (
        f"198.51.{dice.randrange(60)}.{dice.choice((1, 2, 250))}",
        f"203.0.113.{dice.randrange(6)}",
        f"2001:db8:{dice.choice('159')}:{dice.randrange(30)}::{dice.randrange(1, 4)}",
        dice.choice(("192.0.2.7", "10.7.7.3", "172.16.0.3", "172.16.0.4")),
    )
    client = dice.choice((*clients[:3], *clients))
    names = ["unknown"] * 9 + ["mail.listed.test", "listed.test", "notlisted.test", "mx7.pool.test", "MX.example.net"]
    local = dice.choice(
        ("joe", "JOE", "joe+x", f"bounce-{dice.randrange(99)}", f"a.{dice.randrange(9)}.b", "prvs=12=joe")
    )
    sender = dice.choice([f"{local}@s{dice.randrange(9)}.test"] * 9 + [""])
    recipient = dice.choice(["info"] * 4 + ["Info", "sales", "postmaster", "direct", "direct+y", "regular", "x"])
    domain = dice.choice(("example.org", "example.org", "example.net", "Example.ORG", "open.example"))
    lines = [
        "request=smtpd_access_policy",
        "protocol_state=RCPT",
        f"client_address={client}",
        f"client_name={dice.choice(names)}",
        f"sender={sender}",
        f"recipient={recipient}@{domain}",
    ]
    if dice.random() < 0.5:
        lines.append("etrn_domain=")
    if dice.random() < 0.8:
        lines.append(f"instance={number // dice.choice((1, 2, 3))}.{client}")
    if dice.random() < 0.02:
        del lines[dice.randrange(2, len(lines))]
    return ("\n".join(lines) + "\n\n").encode()


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    dice, tally, different = random.Random(seed), dict[str, int](), 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103 - the user postgrey works in it
        servers = [Server(REAL, f"{folder}/real"), Server(OURS, f"{folder}/ours")]
        try:
            for number in range(count):
                request = make_request(dice, number)
                _away_from_the_turn_of_a_second()
                for server in servers:
                    server.send(request)
                real, ours = (server.action() for server in servers)
                word = real.split("=", 1)[-1].split(" ")[0]
                tally[word] = tally.get(word, 0) + 1
                if real != ours:
                    different += 1
                    print(f"request {number}: {request.decode()!r}\n  postgrey: {real}\n  ours:     {ours}")
                time.sleep(dice.choice((0, 0, 0.001, 0.005, 0.02)))
        finally:
            for server in servers:
                server.end()
    print(f"{count} requests, {different} different; {tally}")
    return bool(different)


def _away_from_the_turn_of_a_second() -> None:
    """Both count whole seconds; a request must not fall on either side of the turn."""
    fraction = time.time() % 1
    if fraction > 0.8:
        time.sleep(1.01 - fraction)


if __name__ == "__main__":
    sys.exit(main())
