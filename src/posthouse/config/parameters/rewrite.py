"""How addresses are completed, and where they lead (trivial-rewrite(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, maps, text, words

PARAMETERS: tuple[Parameter, ...] = (
    flag("allow_percent_hack", "yes", "Read user%domain as user@domain."),
    flag("append_at_myorigin", "yes", "Complete addresses without a domain with @$myorigin."),
    flag(
        "append_dot_mydomain",
        "${{$compatibility_level} <level {1} ? {yes} : {no}}",
        "Complete domains without a dot with .$mydomain.",
    ),
    text("default_transport", "smtp", "The transport for destinations for which nothing else is said.", 1),
    text(
        "empty_address_default_transport_maps_lookup_key",
        "<>",
        "What stands for the null sender in sender_dependent_default_transport_maps.",
        1,
    ),
    text(
        "empty_address_relayhost_maps_lookup_key",
        "<>",
        "What stands for the null sender in sender_dependent_relayhost_maps.",
        1,
    ),
    text("local_transport", "local:$myhostname", "The transport for mydestination and this host's addresses.", 1),
    words(
        "parent_domain_matches_subdomains",
        "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
        "The lists in which a domain means its subdomains too.",
    ),
    text("relay_transport", "relay", "The transport for relay_domains.", 1),
    text("relayhost", "", "The next hop of all mail that leaves, where no transport table says otherwise."),
    maps("relocated_maps", "", "Addresses that have moved, and where to."),
    flag("resolve_dequoted_address", "yes", "Look at user@domain within a quoted local part."),
    flag("resolve_null_domain", "no", 'Let "user@" mean a local user.'),
    flag("resolve_numeric_domain", "no", "Let user@1.2.3.4 mean user@[1.2.3.4]."),
    maps("sender_dependent_default_transport_maps", "", "default_transport by sender."),
    maps("sender_dependent_relayhost_maps", "", "relayhost by sender."),
    flag("show_user_unknown_table_name", "yes", 'Name the table in "User unknown in ..." replies.'),
    flag("swap_bangpath", "yes", "Read site!user as user@site."),
    maps("transport_maps", "", "The transport and next hop of single addresses and domains."),
)
