"""Parameters: rewrite."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, maps, text, words

PARAMETERS: tuple[Parameter, ...] = (
    flag("allow_percent_hack", "yes", ""),
    flag("append_at_myorigin", "yes", ""),
    flag("append_dot_mydomain", "${{$compatibility_level} <level {1} ? {yes} : {no}}", ""),
    text("default_transport", "smtp", "", 1),
    text("empty_address_default_transport_maps_lookup_key", "<>", "", 1),
    text("empty_address_relayhost_maps_lookup_key", "<>", "", 1),
    text("local_transport", "local:$myhostname", "", 1),
    words(
        "parent_domain_matches_subdomains",
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
        "",
    ),
    text("relay_transport", "relay", "", 1),
    text("relayhost", "", ""),
    maps("relocated_maps", "", ""),
    flag("resolve_dequoted_address", "yes", ""),
    flag("resolve_null_domain", "no", ""),
    flag("resolve_numeric_domain", "no", ""),
    maps("sender_dependent_default_transport_maps", "", ""),
    maps("sender_dependent_relayhost_maps", "", ""),
    flag("show_user_unknown_table_name", "yes", ""),
    flag("swap_bangpath", "yes", ""),
    maps("transport_maps", "", ""),
)
