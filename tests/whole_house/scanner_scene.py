"""The real spamd and clamd on loopback, in directories of their own: no rule and no signature comes from the net."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from whole_house import house_scene
from whole_house.house_scene import WholeHouse, free_port, owner

# Each in two halves, so that this file itself is neither spam nor a virus.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
HOUSE_SIGNATURE = "posthouse-scanner-" + "trial"
# clamd says of every signature that is not ClamAV's own that it is unofficial.
EICAR_NAME, HOUSE_NAME = "Eicar-Test-Signature.UNOFFICIAL", "Posthouse.Trial.UNOFFICIAL"

SPAMD, CLAMD = "/usr/sbin/spamd", "/usr/sbin/clamd"
needs_spamd = pytest.mark.skipif(not Path(SPAMD).exists(), reason="Debian's package spamd is not installed")
needs_clamd = pytest.mark.skipif(not Path(CLAMD).exists(), reason="Debian's package clamav-daemon is not installed")

PLUGINS = "loadplugin Mail::SpamAssassin::Plugin::Check\nloadplugin Mail::SpamAssassin::Plugin::BodyEval\n"
# GTUBE is as SpamAssassin's own rules have it; the others are for mail between spammy and spam.
RULES = """\
required_score 5
use_bayes 0
body GTUBE /XJS\\*C4JDBQADN1\\.NSBN3\\*2IDNEN\\*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL\\*C\\.34X/
describe GTUBE Generic Test for Unsolicited Bulk Email
score GTUBE 1000
body TRIAL_CHEAP /cheap pills/i
describe TRIAL_CHEAP Offers what is cheap
score TRIAL_CHEAP 5
body TRIAL_DEAR /dear friend/i
describe TRIAL_DEAR Calls everybody a friend
score TRIAL_DEAR 2.5
"""
CLAMD_CONF = """\
DatabaseDirectory {place}/signatures
TemporaryDirectory {place}/tmp
LocalSocket {place}/socket
LocalSocketMode 666
TCPSocket {port}
TCPAddr 127.0.0.1
LogFile {place}/log
PidFile {place}/pid
Foreground yes
StreamMaxLength {most}
SelfCheck 0
"""


def until(is_so: Callable[[], object], limit: float = 90.0) -> None:
    """Several daemons take part: on a busy machine that takes its time."""
    house_scene.until(is_so, limit)


class Daemon:
    """A process in the foreground, with a log of its own; it and its children end with stop()."""

    def __init__(self, place: Path) -> None:
        self.place, self.port = place, free_port()
        place.mkdir(parents=True)
        place.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def inet(self) -> str:
        """The address as in posthouse_scan_spamd and posthouse_scan_clamd."""
        return f"inet:127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        path = self.place / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Returns when it takes connections."""
        with (self.place / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, cwd=self.place,
            )  # fmt: skip
        until(self._listens, 120)

    def _listens(self) -> bool:
        assert self._process is not None
        output = (self.place / "output").read_text(errors="replace")
        assert self._process.poll() is None, output + self.log
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self) -> None:
        """Ends it as an administrator would, and whatever of it is left after ten seconds by force."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def freeze(self) -> None:
        """It takes connections (the kernel does) and says nothing more, until thaw()."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)


class Spamd(Daemon):
    """SpamAssassin's daemon: GTUBE scores 1000, "cheap pills" 5, "dear friend" 2.5, and nothing else anything.

    prefs(user, lines) gives somebody preferences of his own, as with spamd's --virtual-config-dir.
    """

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        for name in ("rules", "site", "users", "home"):
            (place / name).mkdir()
        (place / "site/init.pre").write_text(PLUGINS)
        (place / "rules/rules.cf").write_text(RULES)
        if os.getuid() == 0:
            shutil.chown(place / "home", owner().pw_uid)

    def prefs(self, user: str, lines: str) -> None:
        folder = self.place / "users" / user
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "user_prefs").write_text(lines)

    def command(self) -> list[str]:
        place = self.place
        return [
            SPAMD, "--local", "--nouser-config", f"--virtual-config-dir={place}/users/%u", "--max-children=2",
            f"--listen=127.0.0.1:{self.port}", "--allowed-ips=127.0.0.0/8", f"--configpath={place}/rules",
            f"--siteconfigpath={place}/site", f"--helper-home-dir={place}/home", f"--syslog={place}/home/log",
            f"--username={owner().pw_name}",
        ]  # fmt: skip

    @property
    def log(self) -> str:
        path = self.place / "home/log"
        return path.read_text(errors="replace") if path.exists() else ""


class Clamd(Daemon):
    """ClamAV's daemon with two signatures: EICAR's test file, and HOUSE_SIGNATURE."""

    def __init__(self, place: Path, most: str = "25M") -> None:
        super().__init__(place)
        for name in ("signatures", "tmp"):
            (place / name).mkdir()
        pairs = ((EICAR_NAME, EICAR), (HOUSE_NAME, HOUSE_SIGNATURE))
        lines = "".join(f"{name.removesuffix('.UNOFFICIAL')}:0:*:{text.encode().hex()}\n" for name, text in pairs)
        (place / "signatures/trial.ndb").write_text(lines)
        text = CLAMD_CONF.format(place=place, port=self.port, most=most)
        (place / "clamd.conf").write_text(text)
        if os.getuid() == 0:
            shutil.chown(place, owner().pw_uid)
            shutil.chown(place / "tmp", owner().pw_uid)
            with (place / "clamd.conf").open("a") as conf:
                conf.write(f"User {owner().pw_name}\n")

    @property
    def unix(self) -> str:
        return f"unix:{self.place}/socket"

    def command(self) -> list[str]:
        return [CLAMD, f"--config-file={self.place}/clamd.conf"]


class ScannedHouse(WholeHouse):
    """A mail server with a scanner behind its queue, as in docs/guide/scanner.md: smtp-amavis, scan, and the listener
    to which mail comes back. conf is what the scanner's amavisd.conf says.
    """

    def __init__(
        self, place: Path, spamd: str = "", clamd: str = "", conf: str = "", *, protocol: str = "smtp"
    ) -> None:
        super().__init__(place)
        self.scan, self.back = free_port(), free_port()
        (place / "amavisd.conf").write_text(conf)
        with (self.conf / "main.cf").open("a") as main_cf:
            main_cf.write(
                f"content_filter = smtp-amavis:[127.0.0.1]:{self.scan}\nposthouse_scan_spamd = {spamd}\n"
                f"posthouse_scan_clamd = {clamd}\nposthouse_scan_forward = [127.0.0.1]:{self.back}\n"
                f"posthouse_scan_amavisd_conf = {place}/amavisd.conf\nposthouse_scan_timeout = 20s\n"
            )
        with (self.conf / "master.cf").open("a") as master_cf:
            master_cf.write(
                f"smtp-amavis unix - - n - 2 {protocol}\n  -o smtp_send_xforward_command=yes\n"
                "  -o lmtp_send_xforward_command=yes\n"
                f"127.0.0.1:{self.scan} inet n - n - 2 scan\n"
                f"127.0.0.1:{self.back} inet n - n - - smtpd\n  -o content_filter=\n  -o smtpd_proxy_filter=\n"
                "  -o smtpd_milters=\n  -o smtpd_recipient_restrictions=permit_mynetworks,reject\n"
                "  -o mynetworks=127.0.0.0/8\n  -o smtpd_authorized_xforward_hosts=127.0.0.0/8\n"
            )

    def set(self, **values: str) -> None:
        """More lines for main.cf."""
        with (self.conf / "main.cf").open("a") as main_cf:
            main_cf.writelines(f"{name} = {value}\n" for name, value in values.items())

    def verdicts(self) -> list[str]:
        """The scanner's lines of the log, from Passed and Blocked on."""
        lines = (line.partition(") ") for line in self.log.splitlines() if "/amavis[" in line)
        return [text for _, _, text in lines if text.startswith(("Passed", "Blocked"))]
