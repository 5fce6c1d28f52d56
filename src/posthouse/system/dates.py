"""Dates as mail writes them (RFC 5322, 3.3), in the machine's time zone."""

from __future__ import annotations

import time
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=64)
def _mail_date(second: int) -> str:
    local = time.localtime(second)
    offset = local.tm_gmtoff // 60
    sign = "-" if offset < 0 else "+"
    hours, minutes = divmod(abs(offset), 60)
    return (
        f"{_DAYS[local.tm_wday]}, {local.tm_mday} {_MONTHS[local.tm_mon - 1]} {local.tm_year} "
        f"{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02} {sign}{hours:02}{minutes:02} ({local.tm_zone})"
    )


def mail_date(moment: float) -> str:
    """A Unix time (s) as "Sun, 22 Nov 2026 15:40:46 +0000 (UTC)", the form of Date: and Received: fields."""
    return _mail_date(int(moment))
