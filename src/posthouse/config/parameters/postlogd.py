"""Parameters: postlogd."""

from __future__ import annotations

from posthouse.config.types import Parameter, text, time

PARAMETERS: tuple[Parameter, ...] = (
    text("maillog_file", "", ""),
    time("postlogd_watchdog_timeout", "10s", "", 10),
)
