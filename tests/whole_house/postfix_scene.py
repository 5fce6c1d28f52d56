"""A real Postfix in a directory of its own, as the other side of a session. Needs root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from whole_house.house_scene import free_port, until

STOCK = [Path("/usr/share/postfix/master.cf.dist"), Path("/etc/postfix/master.cf")]
MAIN_CF = """\
compatibility_level = 3.6
myhostname = postfix.example.net
queue_directory = {place}/spool
data_directory = {place}/data
maillog_file = {place}/log
maillog_file_prefixes = {place}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.1/32
virtual_mailbox_domains = postfix.test
virtual_mailbox_base = {place}/mail
virtual_mailbox_maps = inline:{{ {{ x@postfix.test = box/ }} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
"""
SUBMISSION = """\
127.0.0.1:{submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
127.0.0.1:{submissions} inet n - n - - smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
"""


def is_here() -> bool:
    """Whether there is a Postfix that may be started."""
    return os.getuid() == 0 and Path("/usr/sbin/postfix").exists() and any(path.exists() for path in STOCK)


class RealPostfix:
    """port takes mail, submission and submissions want a login."""

    def __init__(self, place: Path, main_cf: str) -> None:
        self.place, self.conf = place, place / "conf"
        self.port, self.submission, self.submissions = free_port(), free_port(), free_port()
        user = pwd.getpwnam("nobody")
        for folder in ("conf", "spool", "data", "mail"):
            (place / folder).mkdir(parents=True)
        shutil.chown(place / "data", "postfix")
        os.chown(place / "mail", user.pw_uid, user.pw_gid)
        values = {"place": place, "uid": user.pw_uid, "gid": user.pw_gid}
        (self.conf / "main.cf").write_text(MAIN_CF.format(**values) + main_cf)
        stock = next(path for path in STOCK if path.exists()).read_text()
        master = stock.replace("\nsmtp      inet", f"\n127.0.0.1:{self.port} inet", 1)
        ports = {"submission": self.submission, "submissions": self.submissions}
        (self.conf / "master.cf").write_text(master + SUBMISSION.format(**ports))
        self._run("postconf", "-F", "*/*/chroot=n")

    def _run(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        line = [f"/usr/sbin/{command}", "-c", str(self.conf), *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    def start(self) -> None:
        done = self._run("postfix", "start")
        assert done.returncode == 0, done.stderr + self.log

    def stop(self) -> None:
        self._run("postfix", "stop")

    @property
    def log(self) -> str:
        path = self.place / "log"
        return path.read_text() if path.exists() else ""

    def arrived(self, subject: str) -> str:
        """The message with this subject, once it is in the mailbox of x@postfix.test."""
        found: list[str] = []

        def is_there() -> bool:
            found[:] = [path.read_text() for path in (self.place / "mail").glob("box/new/*") if path.is_file()]
            found[:] = [text for text in found if f"Subject: {subject}\n" in text]
            return bool(found)

        until(is_there)
        return found[0]
