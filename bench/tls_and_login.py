#!/usr/bin/env python3
"""TLS handshakes and authenticated submissions a second, Postfix and Posthouse in turn on the same machine (root).

    bench/tls_and_login.py --runs 3 --count 600 --sessions 1,10

Both ask the same Dovecot about logins. What is submitted is 4 KB and goes to discard:, so that the login counts, not
the mailbox. --servers can add a Posthouse that keeps the passwords itself. bench/README.md tells what to make of the
figures.
"""

from __future__ import annotations

import argparse
import base64
import multiprocessing
import os
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]

import certificates  # noqa: E402
from whole_house.dovecot_scene import Dovecot  # noqa: E402
from whole_house.house_scene import free_port  # noqa: E402

_loader = SourceFileLoader("compare", str(ROOT / "bench/compare"))
compare = module_from_spec(spec_from_loader("compare", _loader))
_loader.exec_module(compare)

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {place}/spool
data_directory = {place}/data
maillog_file = {place}/log
maillog_file_prefixes = {place}
inet_interfaces = 127.0.0.1
mydestination =
transport_maps = inline:{{ {{discard.example=discard:}} }}
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key} {certificate}
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
{sasl}
"""
SECRET = base64.b64encode(b"\0joe@example.org\0secret").decode()
LETTER = b"Subject: measured\r\n\r\n" + (b"x" * 62 + b"\r\n") * 64 + b".\r\n"
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One of them, running."""

    label: str
    place: Path
    port: int
    group: Path | None = None
    samples: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)

    def cpu(self) -> float:
        """Seconds of user and system time so far, of all its processes."""
        if self.group is not None:
            stat = dict(line.split() for line in (self.group / "cpu.stat").read_text().splitlines())
            return int(stat["usage_usec"]) / 1e6
        first = int((self.place / "spool/pid/master.pid").read_text())
        found: dict[int, list[str]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                found[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
        family, size = {first}, 0
        while size < len(family):
            size = len(family)
            family |= {pid for pid, words in found.items() if int(words[1]) in family}
        return sum(sum(map(int, found[pid][11:15])) for pid in family if pid in found) / TICK


@contextmanager
def running(label: str, place: Path, pair: certificates.Pair, sasl: str) -> Iterator[Server]:
    """A server in directories of its own."""
    name = "postfix" if label == "postfix" else "posthouse"
    server = Server(label, place, free_port(), compare.cgroup(label))
    for folder in ("conf", "spool", "data"):
        (place / folder).mkdir(parents=True)
    shutil.chown(place / "data", "postfix")
    values = {"place": place, "key": pair.key, "certificate": pair.certificate, "sasl": sasl}
    (place / "conf/main.cf").write_text(MAIN_CF.format(**values))
    stocks = map(Path, ("/usr/share/postfix/master.cf.dist", "/etc/postfix/master.cf"))
    stock = next(path for path in stocks if path.exists()).read_text()
    (place / "conf/master.cf").write_text(stock.replace("\nsmtp      inet", f"\n127.0.0.1:{server.port} inet", 1))
    subprocess.run(["postconf", "-c", place / "conf", "-F", "*/*/chroot=n"], check=True)
    if "posthouse" in sasl:
        words = [compare.COMMANDS[name] / "posthouse", "passwd", "-c", place / "conf", "add", "joe@example.org"]
        subprocess.run(words, input="secret\n", text=True, check=True)
    join = f"echo $$ > {server.group}/cgroup.procs && " if server.group else ""
    command = f"{compare.COMMANDS[name]}/postfix -c {place}/conf"
    subprocess.run(["/bin/sh", "-c", f"{join}exec {command} start"], check=True)
    try:
        yield server
    finally:
        subprocess.run(["/bin/sh", "-c", f"{command} stop"], check=False)
        if server.group:
            try:
                server.group.rmdir()
            except OSError as error:
                print(f"{server.group} stays: {error}", file=sys.stderr)


class Client:
    """One connection after the other, with as little work of its own as can be."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def connect(self) -> ssl.SSLSocket:
        sock = socket.create_connection(("127.0.0.1", self.port), 30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.hear(sock, b"220")
        self.say(sock, b"EHLO x\r\n", b"250")
        self.say(sock, b"STARTTLS\r\n", b"220")
        return self.context.wrap_socket(sock)

    def handshake(self) -> None:
        with self.connect() as sock:
            self.say(sock, b"EHLO x\r\n", b"250")
            self.say(sock, b"QUIT\r\n", b"221")

    def submission(self) -> None:
        with self.connect() as sock:
            self.say(sock, b"EHLO x\r\n", b"250")
            self.say(sock, f"AUTH PLAIN {SECRET}\r\n".encode(), b"235")
            self.say(sock, b"MAIL FROM:<joe@example.org>\r\n", b"250")
            self.say(sock, b"RCPT TO:<x@discard.example>\r\n", b"250")
            self.say(sock, b"DATA\r\n", b"354")
            self.say(sock, LETTER, b"250")
            self.say(sock, b"QUIT\r\n", b"221")

    def say(self, sock: socket.socket, words: bytes, wanted: bytes) -> None:
        sock.sendall(words)
        self.hear(sock, wanted)

    @staticmethod
    def hear(sock: socket.socket, wanted: bytes) -> None:
        """A whole reply. Raises RuntimeError for another one than wanted."""
        heard = b""
        while not (heard.endswith(b"\r\n") and heard.split(b"\r\n")[-2][3:4] != b"-"):
            part = sock.recv(65_536)
            if not part:
                raise RuntimeError(f"connection lost after {heard!r}")
            heard += part
        if not heard.startswith(wanted):
            raise RuntimeError(f"{heard!r} in place of {wanted!r}")


def _client(port: int, what: str, count: int, gate: object) -> None:
    client = Client(port)
    once = getattr(client, what)
    once()
    gate.wait()
    for _ in range(count):
        once()
    gate.wait()


def load(server: Server, what: str, sessions: int, count: int) -> tuple[float, float]:
    """Operations a second, and milliseconds of the server's CPU time for each."""
    gate = multiprocessing.Barrier(sessions + 1)
    words = (server.port, what, count // sessions, gate)
    clients = [multiprocessing.Process(target=_client, args=words, daemon=True) for _ in range(sessions)]
    for client in clients:
        client.start()
    gate.wait(120)
    before, began = server.cpu(), time.monotonic()
    gate.wait(600)
    took = time.monotonic() - began
    time.sleep(0.5)  # what the server does behind the answer counts, too
    spent, done = server.cpu() - before, count // sessions * sessions
    for client in clients:
        client.join(30)
    return done / took, spent / done * 1000


def report(servers: list[Server]) -> None:
    print(f"{'':28}{'server':12}{'rate/s':>10}{'CPU ms':>10}{'rate x':>8}{'CPU x':>8}")
    for what, sessions in servers[0].samples:
        for server in servers:
            best = [max(rate for rate, _ in server.samples[what, sessions]), *_cpu_of(server, what, sessions)]
            first = [max(rate for rate, _ in servers[0].samples[what, sessions]), *_cpu_of(servers[0], what, sessions)]
            ratios = "" if server is servers[0] else f"{best[0] / first[0]:8.2f}{best[1] / first[1]:8.2f}"
            print(f"{f'{what}, {sessions} sessions':28}{server.label:12}{best[0]:10.0f}{best[1]:10.2f}{ratios}")


def _cpu_of(server: Server, what: str, sessions: int) -> tuple[float, float]:
    """The lowest, which wanders least, and the median."""
    found = [spent for _, spent in server.samples[what, sessions]]
    return min(found), statistics.median(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=600, help="operations in a run")
    parser.add_argument("--sessions", default="1,10")
    parser.add_argument("--what", default="handshake,submission")
    parser.add_argument("--servers", default="postfix,posthouse", help="and built-in: smtpd_sasl_type = posthouse")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are stopped then, too
    place = Path(tempfile.mkdtemp(prefix="posthouse-bench-"))
    place.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        authority = certificates.make(place, "ca", "the authority", authority=True)
        pair = certificates.make(place, "server", "localhost", issuer=authority)
        (place / "queue/private").mkdir(parents=True)
        dovecot = Dovecot(place / "dovecot", place / "queue", pair, free_port())
        dovecot.start()
        stack.callback(dovecot.stop)
        sasl = f"smtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:{dovecot.auth}"
        servers = []
        for label in options.servers.split(","):
            own = "smtpd_sasl_type = posthouse" if label == "built-in" else sasl
            servers.append(stack.enter_context(running(label, place / label, pair, own)))
        for _ in range(options.runs):
            for what in options.what.split(","):
                for sessions in map(int, options.sessions.split(",")):
                    for server in servers:
                        sample = load(server, what, sessions, options.count)
                        server.samples.setdefault((what, sessions), []).append(sample)
        report(servers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
