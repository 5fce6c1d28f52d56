"""Parameters: scache."""

from __future__ import annotations

from posthouse.config.types import Parameter, text, time

PARAMETERS: tuple[Parameter, ...] = (
    time("connection_cache_protocol_timeout", "5s", "", 1),
    text("connection_cache_service_name", "scache", "", 1),
    time("connection_cache_status_update_time", "600s", "", 1),
    time("connection_cache_ttl_limit", "2s", "", 1),
)
