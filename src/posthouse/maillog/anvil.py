"""The lines that anvil(8) writes to the log."""

from __future__ import annotations

import time


def _stamp(when: float) -> str:
    local = time.localtime(when)
    return time.strftime("%b ", local) + f"{local.tm_mday:2}" + time.strftime(" %H:%M:%S", local)


def peak(what: str, value: str, service: str, address: str, when: float) -> str:
    """What is "connection rate", "connection count", "message rate" ..."""
    return f"statistics: max {what} {value} for ({service}:{address}) at {_stamp(when)}"


def cache_size(size: int, when: float) -> str:
    return f"statistics: max cache size {size} at {_stamp(when)}"


def table_full() -> str:
    return "more clients at once than can be counted; some are not held to the smtpd_client limits"
