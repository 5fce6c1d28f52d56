"""Behind a real haproxy, in both versions of its protocol, and with TLS from the first byte."""

from __future__ import annotations

import re
import shutil
import smtplib
import subprocess

import pytest

from whole_house.house_scene import free_port, until

needs_haproxy = pytest.mark.skipif(not shutil.which("haproxy", path="/usr/sbin:/usr/bin"), reason="haproxy is missing")


@pytest.fixture
def proxied(closed_house, tmp_path):
    """proxied(version) is the port of a haproxy in front of a started house."""
    running = []

    def start(version):
        port, behind = free_port(), free_port()
        master_cf = closed_house.conf / "master.cf"
        master_cf.write_text(
            master_cf.read_text()
            + f"127.0.0.1:{behind} inet n - n - - smtpd\n  -o smtpd_upstream_proxy_protocol=haproxy\n"
        )
        closed_house.start()
        conf = tmp_path / "haproxy.cfg"
        conf.write_text(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
            f"listen mail\n bind 127.0.0.1:{port}\n server house 127.0.0.1:{behind} {version}\n"
        )
        haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
        running.append(subprocess.Popen([haproxy, "-f", str(conf), "-db"], stderr=subprocess.DEVNULL))
        until(lambda: answers(port))
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait()


def answers(port):
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=10):
            return True
    except OSError:
        return False


@needs_haproxy
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_the_client_behind_haproxy_is_known_by_its_own_address(closed_house, proxied, version):
    port = proxied(version)
    with smtplib.SMTP("127.0.0.1", port, timeout=20, source_address=("127.0.0.9", 0)) as client:
        client.sendmail("friend@sender.test", "info@example.org", "Subject: through haproxy\r\n\r\ntext\r\n")
    until(lambda: closed_house.maildir("info"))
    assert "[127.0.0.9]" in closed_house.maildir("info")[0]
    assert re.search(r"smtpd\[\d+\]: connect from \S+\[127\.0\.0\.9\]", closed_house.log)
    assert rcpt_code(port, "127.0.0.9") == 454, "the proxy's own address gives a stranger no rights"
    assert rcpt_code(port, "127.0.0.2") == 250, "one of mynetworks keeps its rights"


def rcpt_code(port, address):
    with smtplib.SMTP("127.0.0.1", port, timeout=20, source_address=(address, 0)) as client:
        client.ehlo("client.example.net")
        client.mail("friend@sender.test")
        return client.rcpt("someone@elsewhere.example")[0]
