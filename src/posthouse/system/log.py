"""Log lines on their way out: a label, a severity and a text; where they go is the sink's business."""

from __future__ import annotations

import os
from typing import Protocol


class LogSink(Protocol):
    """Takes finished lines; never blocks and never raises."""

    def write(self, label: str, process_id: int, severity: str, text: str) -> None:
        """Severity is one of "info", "warning", "error", "fatal", "panic"; label is "postfix/smtpd"."""
        ...


class DaemonLog:
    """The log of one service. label is syslog_name/daemon ("postfix/submission/smtpd")."""

    __slots__ = ("_sink", "label", "process_id")

    def __init__(self, label: str, sink: LogSink, process_id: int = 0) -> None:
        self.label, self._sink, self.process_id = label, sink, process_id or os.getpid()

    def info(self, text: str) -> None:
        self._sink.write(self.label, self.process_id, "info", text)

    def warning(self, text: str) -> None:
        self._sink.write(self.label, self.process_id, "warning", f"warning: {text}")

    def error(self, text: str) -> None:
        self._sink.write(self.label, self.process_id, "error", f"error: {text}")

    def fatal(self, text: str) -> None:
        self._sink.write(self.label, self.process_id, "fatal", f"fatal: {text}")

    def panic(self, text: str) -> None:
        self._sink.write(self.label, self.process_id, "panic", f"panic: {text}")

    def named(self, label: str, process_id: int = 0) -> DaemonLog:
        """A log of another label into the same sink."""
        return DaemonLog(label, self._sink, process_id or self.process_id)


class MemorySink:
    """Keeps lines in a list: what `posthouse explain` and tests read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, label: str, process_id: int, severity: str, text: str) -> None:  # noqa: ARG002
        self.lines.append(f"{label}: {text}")
