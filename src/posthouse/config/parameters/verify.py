"""Probes that find out whether an address can be reached (verify(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, maps, text, time

PARAMETERS: tuple[Parameter, ...] = (
    time("address_verify_cache_cleanup_interval", "12h", "How often old results of probes are thrown away."),
    text("address_verify_default_transport", "$default_transport", "default_transport for probes.", 1),
    text("address_verify_local_transport", "$local_transport", "local_transport for probes.", 1),
    maps("address_verify_map", "btree:$data_directory/verify_cache", "The table that keeps the results of probes."),
    flag("address_verify_negative_cache", "yes", "Remember that an address cannot be reached."),
    time("address_verify_negative_expire_time", "3d", "When a failed probe is forgotten.", 1),
    time("address_verify_negative_refresh_time", "3h", "When a failed probe is repeated.", 1),
    integer("address_verify_pending_request_limit", "5000", "How many probes may wait before new ones are dropped.", 1),
    integer(
        "address_verify_poll_count",
        "${stress?{1}:{3}}",
        "How often to ask for a probe's result before putting the client off.",
        1,
    ),
    time("address_verify_poll_delay", "3s", "The pause between two questions for a probe's result.", 1),
    time("address_verify_positive_expire_time", "31d", "When a successful probe is forgotten.", 1),
    time("address_verify_positive_refresh_time", "7d", "When a successful probe is repeated.", 1),
    text("address_verify_relay_transport", "$relay_transport", "relay_transport for probes.", 1),
    text("address_verify_relayhost", "$relayhost", "relayhost for probes."),
    text("address_verify_sender", "$double_bounce_sender", "The sender of probes."),
    maps(
        "address_verify_sender_dependent_default_transport_maps",
        "$sender_dependent_default_transport_maps",
        "sender_dependent_default_transport_maps for probes.",
    ),
    maps(
        "address_verify_sender_dependent_relayhost_maps",
        "$sender_dependent_relayhost_maps",
        "sender_dependent_relayhost_maps for probes.",
    ),
    time("address_verify_sender_ttl", "0s", "How often the sender of probes changes its name."),
    text("address_verify_service_name", "verify", "The service that keeps track of probes.", 1),
    maps("address_verify_transport_maps", "$transport_maps", "transport_maps for probes."),
    text("address_verify_virtual_transport", "$virtual_transport", "virtual_transport for probes.", 1),
)
