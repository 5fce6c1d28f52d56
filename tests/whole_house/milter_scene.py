"""The real clamav-milter and rspamd (as a milter that scans by itself), in directories of their own, without a network."""

from __future__ import annotations

import grp
import os
import shutil
from pathlib import Path

import pytest

from whole_house.house_scene import owner
from whole_house.scanner_scene import Clamd, Daemon

CLAMAV_MILTER, RSPAMD = "/usr/sbin/clamav-milter", "/usr/bin/rspamd"
needs_clamav_milter = pytest.mark.skipif(
    not Path(CLAMAV_MILTER).exists(), reason="Debian's package clamav-milter is not installed"
)
needs_rspamd = pytest.mark.skipif(not Path(RSPAMD).exists(), reason="Debian's package rspamd is not installed")

CLAMAV_CONF = """\
MilterSocket inet:{port}@127.0.0.1
ClamdSocket {clamd}
Foreground yes
LogFile {place}/log
LogInfected Full
TemporaryDirectory {place}
PidFile {place}/pid
OnClean Accept
OnInfected {infected}
OnFail Defer
RejectMsg Virus found: %v
AddHeader Replace
"""
RSPAMD_CONF = """\
options {{
    pidfile = "{place}/pid"; rspamd_prefix = "{place}"; dbdir = "{place}";
    url_tld = "/usr/share/rspamd/effective_tld_names.dat";
    enable_test_patterns = true; disable_hyperscan = true; hs_cache_dir = "{place}"; filters = ""; local_addrs = "";
    dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }}
    history_rows = 10; enable_shutdown_workaround = false;
}}
logging {{ type = "file"; filename = "{place}/log"; level = "info"; }}
worker "rspamd_proxy" {{
    bind_socket = "127.0.0.1:{port}"; milter = true; timeout = 20s; count = 1; spam_header = "X-Spam";
    upstream "local" {{ default = true; self_scan = true; }}
}}
actions {{ reject = 15; add_header = 6; }}
"""
# rspamd's own patterns: the first letter says what it shall do.
RSPAMD_PATTERN = "JS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


class ClamavMilter(Daemon):
    """infected: Reject, Quarantine, Blackhole or Defer."""

    def __init__(self, place: Path, clamd: Clamd, infected: str) -> None:
        super().__init__(place)
        text = CLAMAV_CONF.format(place=place, port=self.port, clamd=clamd.unix, infected=infected)
        if os.getuid() == 0:
            text += f"User {owner().pw_name}\n"
            shutil.chown(place, owner().pw_uid)
        (place / "conf").write_text(text)

    def command(self) -> list[str]:
        return [CLAMAV_MILTER, f"--config-file={self.place}/conf"]


class Rspamd(Daemon):
    """It knows its test patterns and nothing else."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        (place / "conf").write_text(RSPAMD_CONF.format(place=place, port=self.port))
        if os.getuid() == 0:
            shutil.chown(place, owner().pw_uid)

    def command(self) -> list[str]:
        who = owner()
        rights = ["-u", who.pw_name, "-g", grp.getgrgid(who.pw_gid).gr_name] if os.getuid() == 0 else []
        return [RSPAMD, "-f", "-c", str(self.place / "conf"), *rights]
