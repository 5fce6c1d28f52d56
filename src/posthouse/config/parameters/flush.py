"""Deferred mail by destination (flush(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    words(
        "fast_flush_domains",
        "$relay_domains",
        "Domains whose deferred mail can be asked for with ETRN or sendmail -qR.",
    ),
    time("fast_flush_purge_time", "7d", "How long a domain's list of deferred mail is kept.", 1),
    time("fast_flush_refresh_time", "12h", "When a domain's list of deferred mail is tried again by itself.", 1),
    text("flush_service_name", "flush", "The service that knows which deferred mail goes where.", 1),
)
