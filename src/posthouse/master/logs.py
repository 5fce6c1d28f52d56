"""The log of the house: which sink main.cf asks for (maillog_file, syslog_facility), opened with master's rights."""

from __future__ import annotations

import os
import sys

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.system.log_sinks import FileSink, Sink, SyslogSink


def file_name(settings: Settings) -> str:
    """maillog_file, checked against maillog_file_prefixes; "" for syslog. Raises ConfigError."""
    path = settings.text("maillog_file")
    if not path:
        return ""
    prefixes = settings.items("maillog_file_prefixes")
    if not any(_is_below(path, prefix) for prefix in prefixes):
        text = f"maillog_file '{path}' is not below any of maillog_file_prefixes = {' '.join(prefixes)}"
        raise ConfigError(text, parameter="maillog_file")
    return path


def _is_below(path: str, prefix: str) -> bool:
    bare = prefix.rstrip("/")
    return os.path.normpath(path) == path and (path == prefix or path.startswith(f"{bare}/"))


def open_file(settings: Settings) -> int:
    """The descriptor of maillog_file, made if missing; -1 for syslog and standard output. Raises ConfigError."""
    path = file_name(settings)
    if not path or path == "/dev/stdout":
        return -1
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as trouble:
        raise ConfigError(f"open {path}: {trouble.strerror}", parameter="maillog_file") from trouble


def open_sink(settings: Settings) -> Sink:
    """The sink that main.cf asks for. Raises ConfigError."""
    fd = open_file(settings)
    if fd >= 0:
        return FileSink(fd, settings.text("myhostname"))
    if file_name(settings) == "/dev/stdout":
        return FileSink(sys.stdout.fileno(), settings.text("myhostname"))
    return SyslogSink(settings.text("syslog_facility"))
