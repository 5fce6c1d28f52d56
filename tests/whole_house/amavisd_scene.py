"""The real amavisd on loopback in a directory of its own, with the rules and signatures of scanner_scene."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from whole_house.house_scene import owner
from whole_house.scanner_scene import PLUGINS, RULES, Daemon

AMAVISD = "/usr/sbin/amavisd"
needs_amavisd = pytest.mark.skipif(
    os.getuid() != 0 or not Path(AMAVISD).exists(), reason="it needs root, and Debian's package amavisd-new"
)
CONF = """\
use strict;
$path = '/usr/sbin:/usr/bin:/sbin:/bin';
$max_servers = 1;
$daemon_user = '{user}'; $daemon_group = '{group}';
$mydomain = 'example.com'; $myhostname = 'mail.example.com';
$MYHOME = '{place}/home'; $TEMPBASE = '{place}/tmp'; $QUARANTINEDIR = ''; $helpers_home = '{place}/home';
$db_home = '{place}/home'; $lock_file = '{place}/home/lock'; $pid_file = '{place}/home/pid';
$enable_db = 0; $enable_zmq = 0; $enable_dkim_verification = 0;
$log_level = 0; $DO_SYSLOG = 0; $LOGFILE = '{place}/home/log'; $log_recip_templ = undef;
$inet_socket_port = {port}; $inet_socket_bind = '127.0.0.1';
$forward_method = 'smtp:[127.0.0.1]:{forward}'; $notify_method = $forward_method;
$sa_siteconfigpath = '{place}/site'; $sa_configpath = '{place}/rules'; $sa_local_tests_only = 1;
@av_scanners = (['ClamAV-clamd', \\&ask_daemon, ["CONTSCAN {{}}\\n", '{clamd}'],
  qr/\\bOK$/m, qr/\\bFOUND$/m, qr/^.*?: (?!Infected Archive)(.*) FOUND$/m ]);
@decoders = (['mail', \\&do_mime_decode]);
"""


class Amavisd(Daemon):
    """Hands mail on to the port forward; conf is added to its configuration. clamd is the path of clamd's socket."""

    def __init__(self, place: Path, clamd: str, forward: int, conf: str) -> None:
        super().__init__(place)
        import grp

        who = owner()
        for name in ("home", "tmp", "rules", "site"):
            (place / name).mkdir()
        for name in ("home", "tmp"):
            shutil.chown(place / name, who.pw_uid, who.pw_gid)
        (place / "site/init.pre").write_text(PLUGINS)
        (place / "rules/rules.cf").write_text(RULES)
        text = CONF.format(
            place=place, port=self.port, forward=forward, clamd=clamd,
            user=who.pw_name, group=grp.getgrgid(who.pw_gid).gr_name,
        )  # fmt: skip
        (place / "amavisd.conf").write_text(f"{text}{conf}1;\n")

    def command(self) -> list[str]:
        return [AMAVISD, "-c", f"{self.place}/amavisd.conf", "foreground"]

    @property
    def log(self) -> str:
        path = self.place / "home/log"
        return path.read_text(errors="replace") if path.exists() else ""

    def verdicts(self) -> list[str]:
        """Its lines of the log, from Passed and Blocked on."""
        lines = (line.partition(") ")[2] for line in self.log.splitlines())
        return [line for line in lines if line.startswith(("Passed", "Blocked"))]
