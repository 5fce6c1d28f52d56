"""The real Postfix in a directory of its own, as another's mail server: it receives mail and writes it into Maildirs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from whole_house.house_scene import free_port

POSTFIX, DAEMONS = "/usr/sbin/postfix", "/usr/lib/postfix/sbin"
needs_postfix = pytest.mark.skipif(
    os.getuid() != 0 or not Path(DAEMONS, "smtpd").exists() or "posthouse" in Path(POSTFIX).resolve().as_posix(),
    reason="it needs root, and Debian's package postfix",
)

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {place}/spool
data_directory = {place}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
maillog_file = {place}/log
maillog_file_prefixes = {place}
myhostname = other.example.net
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
alias_database =
virtual_mailbox_domains = example.org
virtual_mailbox_base = {place}/mail
virtual_mailbox_maps = static:box/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_recipient_restrictions = reject_unauth_destination
"""
SERVICES = (
    "pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr",
    "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce", "defer unix - - n - 0 bounce",
    "trace unix - - n - 0 bounce", "proxymap unix - - n - - proxymap", "smtp unix - - n - - smtp",
    "error unix - - n - - error", "retry unix - - n - - error", "virtual unix - n n - - virtual",
    "anvil unix - - n - 1 anvil", "postlog unix-dgram n - n - 1 postlogd", "showq unix n - n - - showq",
)  # fmt: skip


class Postfix:
    """port is its smtpd's; main_cf is added to its main.cf."""

    def __init__(self, place: Path, main_cf: str) -> None:
        self.place, self.port = place, free_port()
        user = pwd.getpwnam("nobody")
        place.mkdir()
        place.chmod(0o755)
        for name in ("conf", "spool", "data", "mail"):
            (place / name).mkdir()
        shutil.chown(place / "data", "postfix")
        shutil.chown(place / "mail", user.pw_uid, user.pw_gid)
        text = MAIN_CF.format(place=place, uid=user.pw_uid, gid=user.pw_gid)
        (place / "conf/main.cf").write_text(text + main_cf)
        smtpd = f"127.0.0.1:{self.port} inet n - n - - smtpd"
        (place / "conf/master.cf").write_text("\n".join((smtpd, *SERVICES)) + "\n")

    def _run(self, word: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [POSTFIX, "-c", f"{self.place}/conf", word], capture_output=True, text=True, timeout=60, check=False
        )

    def start(self) -> None:
        done = self._run("start")
        assert done.returncode == 0, done.stderr + self.log

    def stop(self) -> None:
        self._run("stop")

    @property
    def log(self) -> str:
        path = self.place / "log"
        return path.read_text() if path.exists() else ""

    def mails(self) -> list[str]:
        folder = self.place / "mail/box/new"
        return [path.read_text() for path in folder.iterdir()] if folder.exists() else []
