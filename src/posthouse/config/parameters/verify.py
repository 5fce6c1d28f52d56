"""Parameters: verify."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, maps, text, time

PARAMETERS: tuple[Parameter, ...] = (
    time("address_verify_cache_cleanup_interval", "12h", ""),
    text("address_verify_default_transport", "$default_transport", "", 1),
    text("address_verify_local_transport", "$local_transport", "", 1),
    maps("address_verify_map", "btree:$data_directory/verify_cache", ""),
    flag("address_verify_negative_cache", "yes", ""),
    time("address_verify_negative_expire_time", "3d", "", 1),
    time("address_verify_negative_refresh_time", "3h", "", 1),
    integer("address_verify_pending_request_limit", "5000", "", 1),
    integer("address_verify_poll_count", "${stress?{1}:{3}}", "", 1),
    time("address_verify_poll_delay", "3s", "", 1),
    time("address_verify_positive_expire_time", "31d", "", 1),
    time("address_verify_positive_refresh_time", "7d", "", 1),
    text("address_verify_relay_transport", "$relay_transport", "", 1),
    text("address_verify_relayhost", "$relayhost", ""),
    text("address_verify_sender", "$double_bounce_sender", ""),
    maps("address_verify_sender_dependent_default_transport_maps", "$sender_dependent_default_transport_maps", ""),
    maps("address_verify_sender_dependent_relayhost_maps", "$sender_dependent_relayhost_maps", ""),
    time("address_verify_sender_ttl", "0s", ""),
    text("address_verify_service_name", "verify", "", 1),
    maps("address_verify_transport_maps", "$transport_maps", ""),
    text("address_verify_virtual_transport", "$virtual_transport", "", 1),
)
