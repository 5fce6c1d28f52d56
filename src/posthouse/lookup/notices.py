"""What tables have to say about their own files (bad lines, stale indexes): a process sends it to one place.

Until somebody calls report_to, notices are kept (bounded), and given to the first who does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Literal

Severity = Literal["warning", "error"]
Sink = Callable[[Severity, str], None]

_KEPT_LIMIT = 1000
_kept: list[tuple[Severity, str]] = []
_sinks: list[Sink] = []
_renewals: list[Callable[[str], None]] = []


def report_to(sink: Sink | None) -> None:
    """From now on notices go to sink(severity, text); None keeps them again. Text has no "warning: " before it."""
    _sinks[:] = [] if sink is None else [sink]
    if sink is not None:
        kept = _kept[:]
        _kept.clear()
        for severity, text in kept:
            sink(severity, text)


@contextlib.contextmanager
def gathered() -> Iterator[list[tuple[Severity, str]]]:
    """What is said within the block is put into the list instead."""
    before = _sinks[:]
    heard: list[tuple[Severity, str]] = []
    _sinks[:] = [lambda severity, text: heard.append((severity, text))]
    try:
        yield heard
    finally:
        _sinks[:] = before


def warn(text: str) -> None:
    """Something in a table is not as it should be; the table still answers."""
    _say("warning", text)


def complain(text: str) -> None:
    """A table cannot answer at all."""
    _say("error", text)


def out_of_reach(path: str) -> None:
    """A table has changed that this process may not read any more; what it read before goes on serving."""
    for renew in _renewals:
        renew(path)


def on_out_of_reach(renew: Callable[[str], None] | None) -> None:
    """What is called then, with the table's path; None for nothing."""
    _renewals[:] = [] if renew is None else [renew]


def _say(severity: Severity, text: str) -> None:
    if _sinks:
        _sinks[0](severity, text)
    elif len(_kept) < _KEPT_LIMIT:
        _kept.append((severity, text))
