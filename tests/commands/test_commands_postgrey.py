"""postgrey and postgreyreport as commands, on real sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

POSTGREY = [sys.executable, "-m", "posthouse.commands.postgrey"]
REQUEST = "request=smtpd_access_policy\nclient_address={}\nclient_name={}\nsender={}\nrecipient=info@example.org\ninstance={}\n\n"
USER = ["--user=nobody"] if os.geteuid() == 0 else []


class Running:
    """A postgrey on a socket in the file system."""

    def __init__(self, folder, *options):
        self.path, self.folder = f"{folder}/sock", folder
        (folder / "clients").write_text("listed.test\n")
        (folder / "recipients").write_text("")
        for place in (folder, *folder.parents):
            if os.stat(place).st_uid == os.geteuid() and str(place).startswith("/tmp/"):
                os.chmod(place, 0o777)
        words = [f"--unix={self.path}", f"--dbdir={folder}", "--delay=1", *USER, *options]
        lists = [f"--whitelist-{what}={folder}/{what}" for what in ("clients", "recipients")]
        self.log = open(folder / "log", "w+", encoding="utf-8")  # noqa: SIM115 - closed in end()
        self.process = subprocess.Popen([*POSTGREY, *words, *lists], stderr=self.log)
        self.socket = self.connect()

    def connect(self):
        for _ in range(200):
            found = socket.socket(socket.AF_UNIX)
            try:
                found.connect(self.path)
            except OSError:
                found.close()
                time.sleep(0.03)
            else:
                found.settimeout(10)
                return found
        raise AssertionError("postgrey did not start")

    def ask(self, client="198.51.100.7", name="unknown", sender="a@b.test", instance="1"):
        self.socket.sendall(REQUEST.format(client, name, sender, instance).encode())
        return self.answer()

    def answer(self):
        reply = b""
        while not reply.endswith(b"\n\n"):
            more = self.socket.recv(4096)
            if not more:
                break
            reply += more
        return reply.decode().strip().removeprefix("action=")

    def lines(self):
        self.log.seek(0)
        return self.log.read().splitlines()

    def end(self):
        self.socket.close()
        self.process.terminate()
        code = self.process.wait(10)
        self.log.close()
        return code


@pytest.fixture
def start(tmp_path):
    running = []

    def started(*options):
        running.append(Running(tmp_path, *options))
        return running[-1]

    yield started
    for one in running:
        if one.process.poll() is None:
            one.end()


def test_mail_waits_and_comes_again_over_a_restart(start, tmp_path):
    first = start("--hostname=mx.example.com")
    assert first.ask().startswith("DEFER_IF_PERMIT Greylisted, see http")
    assert first.end() == 0
    time.sleep(1.1)
    second = start("--hostname=mx.example.com")
    assert second.ask().startswith("PREPEND X-Greylist: delayed ")
    assert second.ask(name="mx.listed.test", sender="c@d.test") == "DUNNO"
    assert any(
        line.startswith("action=pass, reason=client whitelist, client_name=mx.listed.test") for line in second.lines()
    )


def test_a_hangup_reads_the_lists_again(start, tmp_path):
    running = start()
    assert running.ask(name="new.test").startswith("DEFER")
    (tmp_path / "clients").write_text("new.test\ntwo words\n")
    running.process.send_signal(signal.SIGHUP)
    for _ in range(100):
        if running.ask(name="new.test") == "DUNNO":
            break
        time.sleep(0.02)
    assert running.ask(name="new.test") == "DUNNO"
    assert f"{tmp_path}/clients line 2: doesn't look like a hostname" in running.lines()


def test_nonsense_hangups_and_a_megabyte_do_no_harm(start):
    running = start()
    for junk in (b"\xff\x00\n\n", b"foo\n\n", b"request=x\n\n", b"a=" + b"y" * 1_000_000 + b"\n\n"):
        running.socket.sendall(junk)
        assert running.answer() == "DUNNO"
    other = running.connect()
    other.sendall(b"request=smtpd_access")
    other.close()
    assert running.ask().startswith("DEFER")


def test_exim_wants_a_connection_for_each_request(start):
    running = start("--exim")
    assert running.ask().startswith("DEFER")
    assert running.socket.recv(10) == b""


def test_in_the_background_with_a_pidfile_and_a_mode(tmp_path):
    os.chmod(tmp_path, 0o777)
    words = [
        f"--unix={tmp_path}/s",
        "--socketmode=0600",
        f"--dbdir={tmp_path}",
        f"--pidfile={tmp_path}/pid",
        "-d",
        *USER,
    ]
    subprocess.run([*POSTGREY, *words], check=True, timeout=20)
    for _ in range(200):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
            break
        time.sleep(0.02)
    number = int((tmp_path / "pid").read_text())
    assert os.stat(tmp_path / "s").st_mode & 0o777 == 0o600
    os.kill(number, signal.SIGTERM)
    for _ in range(200):
        if not os.path.exists(f"/proc/{number}"):
            break
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "ERROR: --unix or --inet must be specified"),
        (["--inet=x"], 2, "Could not determine port number"),
        (["--bogus"], 2, "--bogus"),
        (["--inet=1", "--delay=abc"], 2, "delay"),
        (["--inet=1", "--retry-window=abc"], 1, "--retry-window is a number of days"),
        (["--inet=10023", "--dbdir=/no/such/folder", *USER], 2, "/no/such/folder"),
    ],
)
def test_wrong_calls(options, code, said):
    done = subprocess.run([*POSTGREY, *options], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == code
    assert said in done.stderr


def test_version_and_help():
    done = subprocess.run([*POSTGREY, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("postgrey 1.37")
    assert (
        "--x-greylist-header"
        in subprocess.run([*POSTGREY, "--help"], capture_output=True, text=True, check=True).stdout
    )


REJECT = (
    "Nov 22 10:00:0{} mail postfix/smtpd[12]: NOQUEUE: reject: RCPT from {}[{}]: 450 4.2.0 <y@example.org>: "
    "Recipient address rejected: Greylisted, see http://x/; from=<{}> to=<info@example.org> proto=ESMTP helo=<h>\n"
)


def test_the_report_has_those_that_did_not_come_back(start, tmp_path):
    running = start()
    running.ask()
    running.ask(client="203.0.113.9", sender="c@d.test")
    time.sleep(1.1)
    assert running.ask().startswith("PREPEND")
    running.end()
    log = (
        REJECT.format(1, "unknown", "198.51.100.7", "a@b.test")
        + REJECT.format(2, "h.test", "203.0.113.9", "c@d.test") * 2
    )
    words = [sys.executable, "-m", "posthouse.commands.postgreyreport", f"--dbdir={tmp_path}", "--delay=1", *USER]

    def report(*options):
        return subprocess.run([*words, *options], input=log, capture_output=True, text=True, check=True).stdout

    assert report() == "    203.0.113.9 h.test c@d.test info@example.org\n"
    assert report("--show_tries", "--tab") == "2\t203.0.113.9\th.test\tc@d.test\tinfo@example.org\n"
    assert report("--show_time") == "Nov 22 10:00:02     203.0.113.9 h.test c@d.test info@example.org\n"
    assert report("--nosingle_line").splitlines() == [
        f"h.test {'203.0.113.9':>86}",
        f"{'':>9} {'c@d.test':>41} {'info@example.org':>41} ",
    ]
