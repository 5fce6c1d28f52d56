"""Sessions kept open between deliveries (scache(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, text, time

PARAMETERS: tuple[Parameter, ...] = (
    time("connection_cache_protocol_timeout", "5s", "How long to wait for the cache of open sessions.", 1),
    text("connection_cache_service_name", "scache", "The service that keeps sessions open between deliveries.", 1),
    time("connection_cache_status_update_time", "600s", "How often the use of the session cache is logged.", 1),
    time("connection_cache_ttl_limit", "2s", "The longest time any session is kept open unused.", 1),
)
