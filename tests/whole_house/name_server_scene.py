"""A name server for one house: its processes have a mount name space, where /etc/resolv.conf names dnsmasq."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from whole_house.house_scene import WholeHouse, until

needs_names = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("dnsmasq") or not shutil.which("unshare"),
    reason="a name server of one's own takes root, and Debian's packages dnsmasq-base and util-linux",
)
_QUESTION = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + b"\x04test\x00" + struct.pack("!2H", 16, 1)


class HouseWithNames(WholeHouse):
    """resolv_conf is what its processes see in the place of the machine's."""

    resolv_conf: Path

    def command(self, name: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        option = "-C" if name in ("sendmail", "mailq") else "-c"
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, str(self.resolv_conf),
             sys.executable, "-m", f"posthouse.commands.{name}", option, str(self.conf), *words],
            input=stdin, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@contextlib.contextmanager
def name_server(house: HouseWithNames, *records: str) -> Iterator[None]:
    """records as dnsmasq's options, "--txt-record=strict.test,v=spf1 -all"."""
    address = f"127.{random.randint(64, 127)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
    house.resolv_conf = house.place / "resolv.conf"
    house.resolv_conf.write_text(f"nameserver {address}\noptions timeout:5 attempts:2\n")
    words = ("--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=",
             "--bind-interfaces", f"--listen-address={address}", "--user=root", "--local=/test/", "--local=/org/")  # fmt: skip
    with subprocess.Popen(["dnsmasq", *words, *records]) as process:
        try:
            until(lambda: process.poll() is None and _answers(address))
            yield
        finally:
            process.terminate()


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.sendto(_QUESTION, (address, 53))
        with contextlib.suppress(OSError):
            return bool(sock.recv(512))
        return False
