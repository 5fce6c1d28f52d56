"""Why mail waits, in a form in which equal causes read the same: for summaries and filters of `posthouse queue`."""

from __future__ import annotations

import re

UNKNOWN = "not tried yet"
_TEXT_LIMIT = 2000

# What differs between two messages that wait for the same cause, and what only looks as if it did.
_PARTS = re.compile(
    r"""
      (?P<address> <?[^\s<>@,;:()"]*@(?:\[[^\]\s]*\]|[\w.-]+)>? )
    | (?P<ip> \[?(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])\]?
            | \[(?:IPv6:)?[0-9A-Fa-f]*:[0-9A-Fa-f:.]+\] )
    | (?P<port> (?<=\]):\d{1,5}\b )
    | (?P<code> (?<![\w.])(?:[245]\d\d[ -])?[245]\.\d{1,3}\.\d{1,3}(?![\w.]) | (?<=said:\ )[245]\d\d\b )
    | (?P<time> (?<!\w)\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?
              | (?<!\w)\d{1,2}:\d\d(?::\d\d)? )
    | (?P<id> (?<![\w.-])(?=[A-Za-z-]*\d)[0-9A-Za-z]{10,}(?:[.-][0-9A-Za-z]+)*(?![\w]) | \b(?=[A-F]*\d)[0-9A-F]{6,}\b )
    | (?P<number> \d+ )
    """,
    re.VERBOSE,
)
_KEPT = {"port", "code"}
_WORDS = {"address": "<...>", "ip": "[...]", "time": "TIME", "id": "ID", "number": "N"}


def normalised(reason: str) -> str:
    """The reason without addresses, queue ids, times and numbers; reply codes, ports and host names stay.

    Hosts that differ only in a number (mx1, mx2) become the same.
    """
    if not reason:
        return UNKNOWN
    return _PARTS.sub(_stand_in, reason[:_TEXT_LIMIT])


def _stand_in(found: re.Match[str]) -> str:
    kind = found.lastgroup or "number"
    return found[0] if kind in _KEPT else _WORDS[kind]
