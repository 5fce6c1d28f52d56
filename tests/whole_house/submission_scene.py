"""A house with ports 587 and 465 as the stock master.cf has them, certificates and logins of its own, and what goes with it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import certificates
from whole_house.dovecot_scene import EXAMPLES
from whole_house.house_scene import WholeHouse, free_port, until

PASSWORD = "a pass:phrase"
MAIN_CF = """
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key}, {certificate}
smtpd_tls_auth_only = yes
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_sasl_type = posthouse
smtpd_sasl_authenticated_header = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
mua_client_restrictions = permit_sasl_authenticated, permit_tls_clientcerts, reject
mua_helo_restrictions =
mua_sender_restrictions =
"""


class SubmissionHouse(WholeHouse):
    """Joe may log in. Its certificate is the authority's, for mail.example.org and localhost."""

    def __init__(self, place: Path, main_cf: str = "") -> None:
        place.mkdir(exist_ok=True)
        self.authority = certificates.make(place, "ca", "the authority", authority=True)
        self.pair = certificates.make(place, "server", "mail.example.org", "localhost", issuer=self.authority)
        own = MAIN_CF.format(key=self.pair.key, certificate=self.pair.certificate)
        mine = {line.partition("=")[0].strip() for line in main_cf.splitlines()}
        own = "\n".join(line for line in own.splitlines() if line.partition("=")[0].strip() not in mine)
        super().__init__(place, own + "\n" + main_cf)
        self.submission, self.submissions = free_port(), free_port()
        text = (EXAMPLES / "master.cf").read_text()
        ports = {"smtp": self.port, "submission": self.submission, "submissions": self.submissions}
        for name, port in ports.items():
            text = re.sub(rf"^{name}(\s+)inet", rf"127.0.0.1:{port}\1inet", text, flags=re.MULTILINE)
        self.master_cf = text.replace(
            "permit_sasl_authenticated,reject", "permit_sasl_authenticated,permit_tls_clientcerts,reject"
        )
        (self.conf / "master.cf").write_text(self.master_cf)

    def knows(self, user: str, password: str = PASSWORD, scheme: str = "SCRAM-SHA-256") -> None:
        program = (sys.executable, "-m", "posthouse.commands.posthouse")
        done = run(*program, "passwd", "-c", self.conf, "add", "--scheme", scheme, user, stdin=f"{password}\n")
        assert done.returncode == 0, done.stderr

    def arrived(self, subject: str) -> str:
        """The message with this subject, once it is in the mailbox of info@example.org."""
        found: list[str] = []

        def is_there() -> bool:
            found[:] = [text for text in self.maildir("info") if f"Subject: {subject}\n" in text]
            return bool(found)

        until(is_there)
        return found[0]


def run(*words: str, stdin: str = "", **options) -> subprocess.CompletedProcess[str]:
    """A program that a user runs."""
    return subprocess.run(
        list(map(str, words)), input=stdin, capture_output=True, text=True, timeout=60, check=False, **options
    )


class ImapStandIn(socketserver.ThreadingTCPServer):
    """Knows joe's password by IMAP's LOGIN: whom saslauthd asks."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, password: str) -> None:
        stand_in = self
        self.asked: list[str] = []

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"* OK ready\r\n")
                while line := self.rfile.readline().decode():
                    tag, _, command = line.strip().partition(" ")
                    while (count := re.search(r"\{(\d+)\}$", command)) is not None:
                        self.wfile.write(b"+ go on\r\n")
                        command = command[: count.start()] + f'"{self.rfile.read(int(count[1])).decode()}"'
                        command += self.rfile.readline().decode().rstrip("\r\n")
                    stand_in.asked.append(command)
                    if command.upper().startswith("LOGIN"):
                        good = command.endswith(f'"{password}"') and '"joe' in command
                        answer = "OK logged in" if good else "NO wrong"
                    else:
                        answer = "OK done"
                    self.wfile.write(f"{tag} {answer}\r\n".encode())

        super().__init__(("127.0.0.1", 0), Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@contextlib.contextmanager
def saslauthd(folder: Path, imap: int):
    """The real one, with its socket in folder, asking the IMAP server at that port."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    process = subprocess.Popen(
        [shutil.which("saslauthd"), "-d", "-n", "1", "-m", str(folder), "-a", "rimap", "-O", f"127.0.0.1/{imap}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,  # at its end it signals its process group
    )  # fmt: skip
    try:
        until((folder / "mux").exists)
        yield process
    finally:
        process.terminate()
        process.wait(20)


class NameServer:
    """A real dnsmasq on a loopback address of its own, and a resolv.conf that names it. Needs root."""

    def __init__(self, place: Path, *records: str) -> None:
        self.place, self.records = place, records
        number = os.getpid()
        self.address = f"127.53.{number >> 8 & 255}.{number & 255 or 1}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        (self.place / "resolv.conf").write_text(f"nameserver {self.address}\n")
        words = ["dnsmasq", "-k", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--user=root",
                 f"--listen-address={self.address}", "--pid-file=", *self.records]  # fmt: skip
        self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "dnsmasq has ended"
        with contextlib.suppress(OSError), socket.create_connection((self.address, 53), 1):
            return True
        return False

    @property
    def prefix(self) -> list[str]:
        """Before a command that shall ask this server: in a mount name space of its own."""
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ["unshare", "-m", "/bin/sh", "-c", script, str(self.place / "resolv.conf")]
