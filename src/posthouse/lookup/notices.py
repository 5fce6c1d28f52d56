"""What tables have to say about their own files (bad lines, stale indexes): a process sends it to one place.

Until somebody calls report_to, notices are kept (bounded), and given to the first who does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Severity = Literal["warning", "error"]
Sink = Callable[[Severity, str], None]

_KEPT_LIMIT = 1000
_kept: list[tuple[Severity, str]] = []
_sinks: list[Sink] = []


def report_to(sink: Sink | None) -> None:
    """From now on notices go to sink(severity, text); None keeps them again. Text has no "warning: " before it."""
    _sinks[:] = [] if sink is None else [sink]
    if sink is not None:
        kept = _kept[:]
        _kept.clear()
        for severity, text in kept:
            sink(severity, text)


def warn(text: str) -> None:
    """Something in a table is not as it should be; the table still answers."""
    _say("warning", text)


def complain(text: str) -> None:
    """A table cannot answer at all."""
    _say("error", text)


def _say(severity: Severity, text: str) -> None:
    if _sinks:
        _sinks[0](severity, text)
    elif len(_kept) < _KEPT_LIMIT:
        _kept.append((severity, text))
