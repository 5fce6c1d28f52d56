"""Parameters: flush."""

from __future__ import annotations

from posthouse.config.types import Parameter, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    words("fast_flush_domains", "$relay_domains", ""),
    time("fast_flush_purge_time", "7d", "", 1),
    time("fast_flush_refresh_time", "12h", "", 1),
    text("flush_service_name", "flush", "", 1),
)
