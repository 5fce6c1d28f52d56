"""Mail passes real filters on its way through whole servers."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import smtplib
import socket
import socketserver
import subprocess
import threading
import time

import pytest

from whole_house.house_scene import WholeHouse, free_port, until

TEXT = (
    "Subject: signed\r\nFrom: Joe <joe@sender.test>\r\nTo: info@example.org\r\nX-Folded: a\r\n\tb\r\n\r\n"
    ".dot\r\n..dots\r\ntrailing  \t \r\n" + "long " * 180 + "\r\n\r\n8bit: \u00e4\r\n\r\n\r\n"
)


@pytest.fixture
def another_house(closed_house):
    """A second server beside the first."""
    place = closed_house.place / "another"
    place.mkdir()
    whole = WholeHouse(place)
    yield whole
    whole.stop()


def configure(house, text):
    with (house.conf / "main.cf").open("a") as file:
        file.write(text)


@contextlib.contextmanager
def opendkim(house, port, *settings):
    """A real opendkim, which knows the key s1._domainkey.sender.test."""
    key = house.place / "dkim.key"
    if not key.exists():
        key.write_bytes(subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout)
        key.chmod(0o600)
    public = subprocess.run(
        ["openssl", "rsa", "-in", key, "-pubout"], capture_output=True, check=True, text=True
    ).stdout
    data = "".join(public.splitlines()[1:-1])
    (house.place / "keys").write_text(f"s1._domainkey.sender.test v=DKIM1; k=rsa; p={data}\n")
    common = (
        f"Socket inet:{port}@127.0.0.1", f"TestPublicKeys {house.place}/keys", "Background no", "Syslog no",
        "RequireSafeKeys no", "Canonicalization simple/simple", f"PidFile {house.place}/opendkim-{port}.pid",
    )  # fmt: skip
    config = house.place / f"opendkim-{port}.conf"
    config.write_text("\n".join((*common, *settings)) + "\n")
    with subprocess.Popen(["opendkim", "-f", "-x", str(config)]) as process:
        try:
            until(lambda: _listens(port))
            yield key
        finally:
            process.terminate()


@pytest.mark.skipif(not shutil.which("opendkim"), reason="opendkim is not installed")
def test_what_opendkim_signed_verifies_after_delivery_through_a_second_server(closed_house, another_house):
    signer, verifier = free_port(), free_port()
    key = closed_house.place / "dkim.key"
    signs = ("Mode s", "Domain sender.test", "Selector s1", f"KeyFile {key}", "InternalHosts 127.0.0.1")
    with opendkim(closed_house, signer, *signs):
        shutil.copy(key, another_house.place / "dkim.key")
        with opendkim(another_house, verifier, "Mode v", "AlwaysAddARHeader yes", "InternalHosts 192.0.2.1"):
            configure(
                closed_house,
                f"smtpd_milters = inet:127.0.0.1:{signer}\nmynetworks = 127.0.0.0/8\nvirtual_mailbox_domains =\n"
                f"relayhost = [127.0.0.1]:{another_house.port}\n",
            )
            configure(another_house, f"smtpd_milters = inet:127.0.0.1:{verifier}\nmynetworks = 192.0.2.1\n")
            closed_house.start()
            another_house.start()
            with closed_house.client() as client:
                client.sendmail("joe@sender.test", "info@example.org", TEXT.encode(), mail_options=["BODY=8BITMIME"])
            until(lambda: another_house.maildir("info"))
    (message,) = another_house.maildir("info")
    assert "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=sender.test; s=s1;" in message
    assert "dkim=pass" in message
    assert message.endswith(TEXT.partition("\r\n\r\n")[2].replace("\r\n", "\n"))


def _listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class _Filter(socketserver.StreamRequestHandler):
    """Passes what it is told on to the server behind it, and adds a field to the content."""

    def handle(self):
        with socket.create_connection(("127.0.0.1", self.server.behind)) as peer, peer.makefile("rwb") as behind:
            self.wfile.write(behind.readline())
            for line in self.rfile:
                behind.write(line)
                behind.flush()
                self._answer(behind)
                if line.upper().startswith(b"DATA"):
                    behind.write(b"X-Filtered: yes\r\n" + b"".join(iter(self.rfile.readline, b".\r\n")) + b".\r\n")
                    behind.flush()
                    self._answer(behind)
                if line.upper().startswith(b"QUIT"):
                    return

    def _answer(self, behind):
        while line := behind.readline():
            self.wfile.write(line)
            if line[3:4] != b"-":
                return


@contextlib.contextmanager
def smtp_filter(port, behind):
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), _Filter) as server:
        server.daemon_threads = True
        server.behind = behind
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def reinjection(house, port):
    with (house.conf / "master.cf").open("a") as file:
        file.write(
            f"127.0.0.1:{port} inet n - n - - smtpd\n"
            "  -o content_filter=\n  -o smtpd_proxy_filter=\n  -o mynetworks=127.0.0.0/8\n"
            "  -o smtpd_authorized_xforward_hosts=127.0.0.0/8\n"
            "  -o receive_override_options=no_unknown_recipient_checks,no_milters\n"
        )


@pytest.mark.parametrize("options", ["", "speed_adjust"])
def test_mail_passes_a_filter_before_it_is_accepted(closed_house, options):
    filter_port, back = free_port(), free_port()
    reinjection(closed_house, back)
    configure(closed_house, f"smtpd_proxy_filter = 127.0.0.1:{filter_port}\nsmtpd_proxy_options = {options}\n")
    closed_house.start()
    large = "0123456789abcdef" * 60 + "\r\n"
    with smtp_filter(filter_port, back):
        closed_house.send("info@example.org", "small", ".a dot\r\n")
        closed_house.send("info@example.org", "large", large * 2000)
        until(lambda: len(closed_house.maildir("info")) == 2)
    small, big = sorted(closed_house.maildir("info"), key=len)
    assert "\nX-Filtered: yes\n" in small
    assert small.endswith("\n\n.a dot\n")
    assert big.endswith("\n\n" + large.replace("\r\n", "\n") * 2000)
    assert "proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as" in closed_house.log
    assert "orig_client=" in closed_house.log
    until(lambda: not list((closed_house.place / "queue/posthouse/spool").iterdir()))
    with pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)) as refused:
        closed_house.send("info@example.org")
    assert "451" in str(refused.value)


def test_an_after_queue_filter_gets_all_mail_once_and_a_filter_that_is_away_loses_nothing(closed_house):
    filter_port, back = free_port(), free_port()
    reinjection(closed_house, back)
    configure(closed_house, f"content_filter = smtp:[127.0.0.1]:{filter_port}\n")
    closed_house.start()
    closed_house.send("info@example.org", "by smtp")
    closed_house.command("sendmail", "info@example.org", stdin="Subject: by sendmail\n\ntext\n")
    until(lambda: closed_house.log.count("status=deferred") == 2)
    assert closed_house.maildir("info") == []
    with smtp_filter(filter_port, back):
        until(lambda: _flushed(closed_house), 40)
    messages = closed_house.maildir("info")
    assert len(messages) == 2
    assert all(message.count("X-Filtered: yes\n") == 1 for message in messages)


def _flushed(house):
    house.command("postqueue", "-f")
    time.sleep(0.5)
    return len(house.maildir("info")) == 2


class _FaultyMilter(socketserver.StreamRequestHandler):
    """Hangs up, refuses, or talks nonsense at a random moment; lets a third of the mail through."""

    def handle(self):
        chance = random.Random(next(self.server.seeds))
        letter = chance.choice("CHMRTLNBE")
        answer = chance.choice((b"", b"r", b"t", b"Z", b"c\0\0", b"\0", b"hX-A\0v\0"))
        is_sound = chance.random() < 0.33
        while len(size := self.rfile.read(4)) == 4:
            packet = self.rfile.read(int.from_bytes(size, "big"))
            heard = chr(packet[0])
            if heard == "O":
                self._send(b"O" + packet[1:9] + b"\0\0\0\0")
            elif heard == "Q":
                return
            elif heard == letter and not is_sound:
                if not answer:
                    return
                self._send(answer)
            elif heard not in "DA":
                self._send(b"c")

    def _send(self, packet):
        self.wfile.write(len(packet).to_bytes(4, "big") + packet)


def test_each_message_that_passes_a_faulty_milter_is_there_once_and_no_other_is(closed_house):
    port = free_port()
    configure(closed_house, f"smtpd_milters = inet:127.0.0.1:{port}\nmilter_content_timeout = 2s\nnotify_classes =\n")
    closed_house.start()
    accepted, refused = set(), 0
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), _FaultyMilter) as server:
        server.daemon_threads = True
        server.seeds = iter(range(10_000))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            for number in range(150):
                try:
                    closed_house.send("info@example.org", f"number {number};")
                    accepted.add(number)
                except smtplib.SMTPException:
                    refused += 1
        finally:
            server.shutdown()
            thread.join()
    assert accepted
    assert refused
    until(lambda: closed_house.log.count("removed") >= len(accepted))
    found = sorted(int(re.search(r"number (\d+);", message)[1]) for message in closed_house.maildir("info"))
    assert found == sorted(accepted)
