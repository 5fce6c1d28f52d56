"""The pair of configurations in examples/dovecot, made to run in a temporary directory on free ports."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import certificates
from whole_house.house_scene import WholeHouse, free_port, until

EXAMPLES = Path(__file__).parents[2] / "examples/dovecot"


class House(WholeHouse):
    """A house with more ports: submission and submissions."""

    def __init__(self, place: Path, main_cf: str, master_cf: str) -> None:
        place.mkdir(exist_ok=True)
        super().__init__(place)
        self.submission, self.submissions = free_port(), free_port()
        text = (self.conf / "main.cf").read_text()
        kept = [line for line in text.splitlines() if not line.startswith(("virtual_", "myhostname", "compat"))]
        owned = {line.partition("=")[0].strip() for line in main_cf.splitlines() if "=" in line and line[0].isalpha()}
        kept = [line for line in kept if line.partition("=")[0].strip() not in owned]
        (self.conf / "main.cf").write_text("\n".join(kept) + "\n" + main_cf)
        ports = {"smtp": self.port, "submission": self.submission, "submissions": self.submissions}
        for name, port in ports.items():
            master_cf = re.sub(rf"^{name}(\s+)inet", rf"127.0.0.1:{port}\1inet", master_cf, flags=re.MULTILINE)
        (self.conf / "master.cf").write_text(master_cf)


class Dovecot:
    """The real one; imap is its port, and auth one at which it answers about logins. Needs root: it becomes vmail."""

    def __init__(self, place: Path, queue: Path, pair: certificates.Pair, policy: int) -> None:
        self.place, self.imap, self.auth = place, free_port(), free_port()
        self._queue = queue
        place.mkdir()
        user = pwd.getpwnam("nobody")
        (place / "mail").mkdir()
        os.chown(place / "mail", user.pw_uid, user.pw_gid)
        shutil.copy(EXAMPLES / "users", place / "users")
        text = (EXAMPLES / "dovecot.conf").read_text()
        for old, new in (
            ("listen = *", "listen = 127.0.0.1"),
            ("/etc/ssl/certs/mail.example.org.pem", str(pair.certificate)),
            ("/etc/ssl/private/mail.example.org.key", str(pair.key)),
            ("/etc/dovecot/users", str(place / "users")),
            ("/var/vmail", str(place / "mail")),
            ("uid=vmail gid=vmail", f"uid={user.pw_uid} gid={user.pw_gid}"),
            ("/var/spool/postfix", str(queue)),
            ("user = postfix\n    group = postfix", f"user = nobody\n    group = {grp.getgrgid(user.pw_gid).gr_name}"),
            (
                "service auth {",
                f"service auth {{\n  inet_listener {{\n    address = 127.0.0.1\n    port = {self.auth}\n  }}",
            ),
            ("port = 143", f"port = {self.imap}"),
            ("port = 993", "port = 0"),
            ("port = 12340", f"port = {policy}"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        own = f"base_dir = {place}/run\nstate_dir = {place}/state\nlog_path = {place}/log\nfirst_valid_uid = 1\nlast_valid_uid = 0\n"
        (place / "dovecot.conf").write_text(own + "disable_plaintext_auth = no\nfirst_valid_gid = 1\n" + text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", str(self.place / "dovecot.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.place / "log").read_text()
        for where in (("127.0.0.1", self.imap), ("127.0.0.1", self.auth), f"{self._queue}/private/auth"):
            kind = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
            with socket.socket(kind) as sock:
                if sock.connect_ex(where):
                    return False
        return True

    def _children(self, name: str = "") -> list[int]:
        """Process numbers of the running Dovecot's children; name is what they run ("" any)."""
        assert self._process is not None
        own = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [int(pid) for pid in own if not name or Path(f"/proc/{pid}/comm").read_text().strip() == name]

    def kill_auth(self) -> None:
        """The process that checks passwords dies; Dovecot starts another when it is asked."""
        dead = self._children("auth")
        assert dead, "nobody has asked for it yet"
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not set(dead) & set(self._children()))

    def stop(self) -> None:
        """All of it: a child that still has clients would go on answering them."""
        if self._process is not None:
            children = self._children()
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()
