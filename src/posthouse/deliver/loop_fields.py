"""Delivered-To fields: how a message that goes in circles is recognized (local(8), pipe(8))."""

from __future__ import annotations

import re


def delivered_to_fields(header: bytes) -> set[str]:
    """The addresses in Delivered-To fields, in lower case: where this message has been already."""
    if b"elivered-" not in header and b"ELIVERED-" not in header:
        return set()
    found = set()
    for match in re.finditer(rb"(?im)^delivered-to[ \t]*:[ \t]*(.*)$", header):
        found.add(match[1].decode("utf-8", "surrogateescape").strip().lower())
    return found
