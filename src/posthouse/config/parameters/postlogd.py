"""The log file that the house writes itself (postlogd(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("maillog_file", "", "The file, or /dev/stdout, to which the house logs itself."),
    text("maillog_file_compressor", "gzip", "The command that compresses an old log file.", 1),
    words("maillog_file_prefixes", "/var, /dev/stdout", "Where maillog_file may be.", 1),
    text("maillog_file_rotate_suffix", "%Y%m%d-%H%M%S", "The suffix of an old log file.", 1),
    time("postlogd_watchdog_timeout", "10s", "How long the log service may be stuck before it is stopped.", 10),
)
