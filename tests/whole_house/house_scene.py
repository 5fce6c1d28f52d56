"""A whole mail server in a temporary directory: configuration and messages in; mailboxes, queue and log out."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import random
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from posthouse.commands.posthouse_try import MASTER_CF

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.example.com
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.2/32
queue_directory = {place}/queue
data_directory = {place}/data
maillog_file = {place}/maillog
maillog_file_prefixes = {place}
mail_owner = {owner}
virtual_mailbox_domains = example.org
virtual_mailbox_base = {place}/mail
virtual_mailbox_maps = inline:{{ {{info@example.org=info/}}, {{sales@example.org=sales}} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""


# Below the ports that clients get: none of theirs can take one between the question and the server's start.
PORTS = itertools.cycle(random.sample(range(10_240, 32_000), 20_000))


def free_port() -> int:
    for port in PORTS:
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def let_others_in(place: Path) -> None:
    """Where root runs the tests, pytest's folders are closed to those whose rights a server takes."""
    for folder in (place, *place.parents):
        if folder == Path(tempfile.gettempdir()):
            return
        folder.chmod(0o755)


def owner() -> pwd.struct_passwd:
    if os.getuid():
        return pwd.getpwuid(os.getuid())
    return pwd.getpwnam("nobody")


class WholeHouse:
    """start() and stop() it; everything else looks at it. prefix stands before each command."""

    prefix: Sequence[str] = ()

    def __init__(self, place: Path, main_cf: str = "") -> None:
        self.place, self.port = place, free_port()
        self.conf, self.mail = place / "conf", place / "mail"
        self.conf.mkdir()
        self.mail.mkdir()
        who = owner()
        if os.getuid() == 0:
            os.chown(self.mail, who.pw_uid, who.pw_gid)
        values = {"place": place, "owner": who.pw_name, "uid": who.pw_uid, "gid": who.pw_gid}
        (self.conf / "main.cf").write_text(MAIN_CF.format(**values) + main_cf)
        (self.conf / "master.cf").write_text(MASTER_CF.format(port=self.port))

    def command(self, name: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        option = "-C" if name in ("sendmail", "mailq") else "-c"
        return subprocess.run(
            [*self.prefix, sys.executable, "-m", f"posthouse.commands.{name}", option, str(self.conf), *words],
            input=stdin, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def start(self) -> None:
        done = self.command("postfix", "start")
        assert done.returncode == 0, done.stderr + self.log

    def stop(self) -> None:
        self.command("postfix", "stop")

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example.net", timeout=20)

    def send(self, recipient: str, subject: str = "a subject", text: str = "text\r\n") -> None:
        with self.client() as client:
            client.sendmail("friend@sender.test", recipient, f"Subject: {subject}\r\n\r\n{text}")

    @property
    def log(self) -> str:
        path = self.place / "maillog"
        return path.read_text() if path.exists() else ""

    def maildir(self, name: str) -> list[str]:
        folder = self.mail / name / "new"
        return [path.read_text() for path in folder.iterdir()] if folder.exists() else []

    @property
    def master(self) -> int:
        return int((self.place / "queue/pid/master.pid").read_text())


def until(is_so: Callable[[], object], limit: float = 20.0) -> None:
    deadline = time.monotonic() + limit
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
