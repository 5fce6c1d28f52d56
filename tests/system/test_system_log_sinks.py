"""Lines of the log: their form, and that none is forged or lost."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time

from posthouse.system.log_sinks import FileSink, SyslogSink


def open_log(tmp_path, name="log"):
    return os.open(tmp_path / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def test_a_line_has_the_form_of_maillog_file(tmp_path):
    sink = FileSink(open_log(tmp_path), "mail.example.com")
    sink.write("postfix/smtpd", 17, "info", "connect from unknown[192.0.2.1]")
    line = (tmp_path / "log").read_text()
    assert re.fullmatch(
        r"\w{3} [ \d]\d \d\d:\d\d:\d\d mail postfix/smtpd\[17\]: connect from unknown\[192\.0\.2\.1\]\n", line
    )


def test_a_peer_cannot_forge_a_line(tmp_path):
    sink = FileSink(open_log(tmp_path), "mail")
    sink.write("a", 1, "info", "one\nNov 22 two\x1b[0m")
    assert (tmp_path / "log").read_text().count("\n") == 1
    assert "\x1b" not in (tmp_path / "log").read_text()


async def test_lines_are_written_together_and_the_file_can_change(tmp_path):
    sink = FileSink(open_log(tmp_path), "mail")
    sink.attach(asyncio.get_running_loop())
    sink.write("a", 1, "info", "first")
    assert (tmp_path / "log").read_text() == ""
    sink.replace(open_log(tmp_path, "new"))
    sink.write("a", 1, "info", "second")
    await asyncio.sleep(0.1)
    assert (tmp_path / "log").read_text().endswith("first\n")
    assert (tmp_path / "new").read_text().endswith("second\n")


def test_syslog_gets_facility_and_severity(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "dev-log"))
        sink = SyslogSink("mail", str(tmp_path / "dev-log"))
        sink.write("postfix/qmgr", 5, "warning", "warning: text")
        assert re.fullmatch(rb"<20>\w{3} [ \d]\d [\d:]{8} postfix/qmgr\[5\]: warning: text", server.recv(1000))
        sink._socket.close()


def test_a_line_costs_little(tmp_path):
    sink = FileSink(open_log(tmp_path), "mail")
    sink._loop, sink._scheduled = object(), True
    start = time.perf_counter()
    for _ in range(20_000):
        sink.write("postfix/smtpd", 17, "info", "18BAE58A45ADE0: client=localhost[127.0.0.1]")
    assert (time.perf_counter() - start) / 20_000 < 30e-6  # about 1 on an idle machine
