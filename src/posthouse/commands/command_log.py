"""What commands say to the administrator also stands in the mail system's log while that is up (postlogd(8))."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from posthouse.errors import ConfigError

if TYPE_CHECKING:
    from posthouse.config.settings import Settings
    from posthouse.system.log import LogSink


def sink_of(settings: Settings) -> LogSink:
    """The mail system's log, or nowhere: it is down, this user may not write there, or it is standard output."""
    from posthouse.master import logs, pid_file
    from posthouse.system.log import MemorySink

    try:
        if pid_file.running(settings.text("queue_directory")) and logs.file_name(settings) != "/dev/stdout":
            return logs.open_sink(settings)
    except (ConfigError, OSError):
        pass  # who may not write to the log still sends mail
    return MemorySink()


def log(settings: Settings, name: str, severity: str, text: str) -> None:
    """A line of that command; nothing where the mail system is down, or this user may not write to its log."""
    from posthouse.master import logs, pid_file

    if not pid_file.running(settings.text("queue_directory")):
        return
    try:
        sink = logs.open_sink(settings)
    except (ConfigError, OSError):
        return
    sink.write(f"{settings.text('syslog_name')}/{name}", os.getpid(), severity, text)
