"""The time as log lines have it; each second is formatted once."""

from __future__ import annotations

import time

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_syslog: tuple[int, str] = (-1, "")


def syslog_stamp(now: float) -> str:
    """The start of a log line, "Nov 22 15:30:00", for a Unix time (s)."""
    global _syslog  # noqa: PLW0603 - one entry is all that is needed: time moves forward
    second = int(now)
    if _syslog[0] != second:
        at = time.localtime(second)
        _syslog = (
            second,
            f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2d} {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}",
        )
    return _syslog[1]
