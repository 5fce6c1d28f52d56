"""Where log lines go: syslog, maillog_file or standard output (postlogd(8), MAILLOG_README).

Lines are collected and written together a moment later, so a line on the hot path costs an append and no system call.
Until a loop is attached, and after it ended, every line is written at once.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from posthouse.system.clock import syslog_stamp

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

BATCH_DELAY_S = 0.01
MAX_HELD_LINES = 100_000
LINE_LIMIT = 2000
SYSLOG_PATHS = ("/dev/log", "/var/run/syslog", "/var/run/log")
SEVERITIES = {"panic": 2, "fatal": 2, "error": 3, "warning": 4, "info": 6}
_FACILITY_NAMES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console solaris-cron "
    "local0 local1 local2 local3 local4 local5 local6 local7"
)
FACILITIES = {name: code for code, name in enumerate(_FACILITY_NAMES.split())}

_CONTROLS = dict.fromkeys((*range(9), *range(10, 32), 127), "?") | {9: "?", 10: "?", 13: "?"}


def printable(text: str) -> str:
    """The text on one line and of bounded length: what a peer sent cannot forge a log line."""
    if not text.isprintable():
        text = text.translate(_CONTROLS)
    return text if len(text) <= LINE_LIMIT else text[:LINE_LIMIT]


class FileSink:
    """Writes to an open file in the form of maillog_file. host is the name in each line."""

    def __init__(self, fd: int, host: str) -> None:
        self._fd, self._host = fd, host.partition(".")[0]
        self._held: list[str] = []
        self._loop: AbstractEventLoop | None = None
        self._scheduled = False

    def write(self, label: str, process_id: int, severity: str, text: str) -> None:  # noqa: ARG002
        if not text.isprintable() or len(text) > LINE_LIMIT:
            text = printable(text)
        self._held.append(f"{syslog_stamp(time.time())} {self._host} {label}[{process_id}]: {text}\n")
        if self._loop is None:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_later(BATCH_DELAY_S, self.flush)

    def flush(self) -> None:
        """Write what is held. A full disk loses lines: mail goes on."""
        self._scheduled = False
        held, self._held = self._held, []
        data = "".join(held).encode("utf-8", "surrogateescape")
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            return

    def attach(self, loop: AbstractEventLoop) -> None:
        """From now on lines are written in batches from this loop."""
        self._loop = loop

    def detach(self) -> None:
        """Write what is held, and every further line at once."""
        self._loop = None
        self.flush()

    def replace(self, fd: int) -> None:
        """Go on in another file (after rotation); the descriptor is taken over."""
        self.flush()
        os.dup2(fd, self._fd)
        os.close(fd)


class SyslogSink:
    """Sends datagrams to the local syslog service. While it does not listen, a bounded number of lines is held."""

    def __init__(self, facility: str, path: str = "") -> None:
        self._priority = FACILITIES.get(facility, FACILITIES["mail"]) << 3
        self._paths = (path,) if path else SYSLOG_PATHS
        self._socket: socket.socket | None = None
        self._held: list[bytes] = []
        self._loop: AbstractEventLoop | None = None
        self._scheduled = False

    def write(self, label: str, process_id: int, severity: str, text: str) -> None:
        priority = self._priority | SEVERITIES.get(severity, 6)
        line = f"<{priority}>{syslog_stamp(time.time())} {label}[{process_id}]: {printable(text)}"
        self._held.append(line.encode("utf-8", "surrogateescape"))
        if len(self._held) > MAX_HELD_LINES:
            del self._held[: MAX_HELD_LINES // 10]
        if self._loop is None:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_later(BATCH_DELAY_S, self.flush)

    def flush(self) -> None:
        """Send what is held; what syslog does not take now stays for later."""
        self._scheduled = False
        if self._socket is None and not self._connect():
            self._later()
            return
        assert self._socket is not None
        sent = 0
        try:
            for line in self._held:
                self._socket.send(line)
                sent += 1
        except BlockingIOError:
            self._later()
        except OSError:
            self._socket.close()
            self._socket = None
            self._later()
        del self._held[:sent]

    def _connect(self) -> bool:
        for path in self._paths:
            candidate = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                candidate.connect(path)
            except OSError:
                candidate.close()
                continue
            candidate.setblocking(self._loop is None)
            self._socket = candidate
            return True
        return False

    def _later(self) -> None:
        if self._loop is not None and not self._scheduled:
            self._scheduled = True
            self._loop.call_later(1.0, self.flush)

    def attach(self, loop: AbstractEventLoop) -> None:
        """From now on lines are sent in batches from this loop, which syslog never blocks."""
        self._loop = loop
        if self._socket is not None:
            self._socket.setblocking(False)

    def detach(self) -> None:
        """Send what is held, and every further line at once."""
        self._loop = None
        if self._socket is not None:
            self._socket.setblocking(True)
        self.flush()

    def replace(self, fd: int) -> None:
        """There is no file to change."""
        os.close(fd)


Sink = FileSink | SyslogSink
