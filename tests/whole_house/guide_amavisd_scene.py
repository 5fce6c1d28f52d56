"""The real amavisd-new in a directory of its own, with the configuration file that the scanner reads as well."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import pytest

from whole_house.scanner_scene import Clamd, Daemon, Spamd

AMAVISD = "/usr/sbin/amavisd"
needs_amavisd = pytest.mark.skipif(not Path(AMAVISD).exists(), reason="Debian's package amavisd-new is not installed")

# As the guide has it, in its order; then what a directory of its own and offline work need.
CONF = """\
use strict;
@bypass_virus_checks_maps = ({bypass});  # uncomment to DISABLE anti-virus code
@bypass_spam_checks_maps  = ({bypass});  # uncomment to DISABLE anti-spam code

$daemon_user  = '{user}';     # (no default;  customary: vscan or amavis), -u
$daemon_group = '{group}';     # (no default;  customary: vscan or amavis), -g
$mydomain = 'example.org';   # a convenient default for other settings
$MYHOME = '{place}/home';   # a convenient default for other settings, -H
$TEMPBASE = "$MYHOME/tmp";   # working directory, needs to exist
$QUARANTINEDIR = '{quarantine}';  #

$log_level = {log_level};              # verbosity 0..5, -d
$log_recip_templ = undef;    # disable by-recipient level-0 log entries
$DO_SYSLOG = 0;              # log via syslogd (preferred)

$inet_socket_port = {port};   # listen on this local TCP port(s) (see $protocol)

$virus_admin               = "virusalert\\@$mydomain";  # notifications recip.
$mailfrom_notify_admin     = "virusalert\\@$mydomain";  # notifications sender
$mailfrom_notify_recip     = "virusalert\\@$mydomain";  # notifications sender
$mailfrom_notify_spamadmin = "spam.police\\@$mydomain"; # notifications sender
$mailfrom_to_quarantine = ''; # null return path; uses original sender if undef

$notify_method  = 'smtp:[127.0.0.1]:{back}';
$forward_method = 'smtp:[127.0.0.1]:{back}';  # set to undef with milter!

$final_virus_destiny      = D_DISCARD;
$final_banned_destiny     = D_DISCARD;
$final_spam_destiny       = D_DISCARD;

$sa_spam_subject_tag = '***SPAM*** ';
$sa_tag_level_deflt  = 2.0;
$sa_tag2_level_deflt = 4.5;
$sa_kill_level_deflt = 20;
$sa_mail_body_size_limit = 400*1024;
$sa_local_tests_only = 1;
$max_servers = {servers};
$myhostname = 'mail.example.com';
@local_domains_maps = ( [".example.org"] );
@mynetworks = qw( 127.0.0.2/32 );
"""
# What only amavisd itself needs; the scanner asks spamd and clamd where main.cf says.
ITS_OWN = """\
$path = '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
$LOGFILE = '{place}/home/log';
$db_home = '{place}/home/db'; $lock_file = '{place}/home/lock'; $pid_file = '{place}/home/pid';
$spam_quarantine_method = 'local:spam-%m'; $virus_quarantine_method = 'local:virus-%m';
$enable_db = 0; $enable_zmq = 0; $enable_dkim_verification = 0;
$sa_siteconfigpath = '{spamd}/site'; $sa_configpath = '{spamd}/rules';
@decoders = ( ['mail', \\&do_mime_decode] );
@av_scanners = ( ['ClamAV-clamd-stream', \\&ask_daemon, ["*", 'clamd:{clamd}/socket'],
  qr/\\bOK$/m, qr/\\bFOUND$/m, qr/^.*?: (?!Infected Archive)(.*) FOUND$/m ] );
1;
"""


def daemon_user() -> pwd.struct_passwd:
    """Debian's user for it where root runs the tests, else who runs them."""
    return pwd.getpwnam("amavis") if os.getuid() == 0 else pwd.getpwuid(os.getuid())


class Amavisd(Daemon):
    """It gives mail back to the port back. Without clamd and spamd it scans nothing."""

    def __init__(self, place: Path, back: int, scanners: tuple[Spamd, Clamd] | None, **settings: int) -> None:
        super().__init__(place)
        who = daemon_user()
        for name in ("home", "home/tmp", "home/db", "quarantine"):
            (place / name).mkdir()
            if os.getuid() == 0:
                shutil.chown(place / name, who.pw_uid, who.pw_gid)
        self.quarantine = place / "quarantine"
        values = {
            "place": place, "user": who.pw_name, "group": _group_of(who), "port": self.port, "back": back,
            "quarantine": self.quarantine if scanners else "", "bypass": 0 if scanners else 1,
            "spamd": scanners[0].place if scanners else "", "clamd": scanners[1].place if scanners else "",
            "log_level": 3, "servers": 2,
        }  # fmt: skip
        text = CONF.format(**(values | settings)) + ITS_OWN.format(**values)
        if not scanners:
            text = "".join(line for line in text.splitlines(keepends=True) if "$sa_siteconfigpath" not in line)
        self.conf = place / "amavisd.conf"
        self.conf.write_text(text)

    @property
    def pid(self) -> int:
        """Of its first process, where it has been started."""
        return int((self.place / "home/pid").read_text())

    @property
    def log(self) -> str:
        path = self.place / "home/log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self) -> list[str]:
        return [AMAVISD, "-c", str(self.conf), "foreground"]


def _group_of(who: pwd.struct_passwd) -> str:
    import grp

    return grp.getgrgid(who.pw_gid).gr_name
