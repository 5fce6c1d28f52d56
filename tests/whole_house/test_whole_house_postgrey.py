"""Our postgrey behind the real Postfix of Debian's package, where that is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import smtplib
import socket
import subprocess
import sys
import time

import pytest

POSTFIX = "/usr/sbin/postfix"
MAIN_CF = """
compatibility_level = 3.6
myhostname = mail.example.com
mydestination =
queue_directory = {0}/queue
data_directory = {0}/data
maillog_file = {0}/maillog
maillog_file_prefixes = {0}
mynetworks = 192.0.2.1/32
inet_interfaces = 127.0.0.1
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:box/
virtual_transport = discard:
smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:{0}/postgrey, permit
smtpd_relay_restrictions =
local_recipient_maps =
alias_maps =
"""
MASTER_CF = """
127.0.0.1:{} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
"""


def is_the_real_one():
    try:
        pwd.getpwnam("postfix")
    except KeyError:
        return False
    return os.geteuid() == 0 and os.path.exists("/usr/lib/postfix/sbin/smtpd") and shutil.which(POSTFIX) is not None


@pytest.fixture
def place():
    """A folder that every user may look into."""
    path = f"/tmp/posthouse-postgrey-{os.getpid()}"
    os.makedirs(f"{path}/conf")
    os.makedirs(f"{path}/queue")
    os.makedirs(f"{path}/data")
    shutil.chown(f"{path}/data", "postfix")
    os.makedirs(f"{path}/db")
    shutil.chown(f"{path}/db", "nobody")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port):
    for _ in range(200):
        try:
            return smtplib.SMTP("127.0.0.1", port, timeout=20)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("Postfix did not start")


def rcpt(port, recipient, text=b""):
    client = connect(port)
    client.ehlo("client.example.net")
    client.mail("friend@sender.test")
    code, said = client.rcpt(recipient)
    if code == 250 and text:
        client.data(text)
    client.quit()
    return code, said.decode()


@pytest.mark.skipif(not is_the_real_one(), reason="Debian's Postfix is not installed, or this is not root")
def test_the_real_postfix_asks_our_postgrey(place):
    port = free_port()
    with open(f"{place}/conf/main.cf", "w", encoding="ascii") as file:
        file.write(MAIN_CF.format(place))
    with open(f"{place}/conf/master.cf", "w", encoding="ascii") as file:
        file.write(MASTER_CF.format(port))
    words = [f"--unix={place}/postgrey", f"--dbdir={place}/db", "--delay=2", "--user=nobody"]
    words += ["--whitelist-clients=/dev/null", "--hostname=mail.example.com"]
    postgrey = subprocess.Popen(
        [sys.executable, "-m", "posthouse.commands.postgrey", *words], stderr=subprocess.DEVNULL
    )
    try:
        subprocess.run([POSTFIX, "-c", f"{place}/conf", "start"], check=True, capture_output=True, timeout=60)
        code, said = rcpt(port, "info@example.org")
        assert (code, "Greylisted, see http://postgrey.schweikert.ch/help/example.org.html" in said) == (450, True)
        assert said.startswith("4.2.0 ")
        assert rcpt(port, "postmaster@example.org")[0] == 250
        time.sleep(2.2)
        assert rcpt(port, "info@example.org", b"Subject: x\r\n\r\ntext\r\n")[0] == 250
    finally:
        subprocess.run([POSTFIX, "-c", f"{place}/conf", "stop"], check=False, capture_output=True, timeout=60)
        postgrey.terminate()
        postgrey.wait(10)
