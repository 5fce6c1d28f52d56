"""How mail leaves over SMTP (smtp(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("best_mx_transport", "", "The transport for mail of which this host turns out to be the best MX."),
    flag("disable_dns_lookups", "no", "Do not look up anything in DNS."),
    flag("disable_mime_output_conversion", "no", "Send 8-bit mail as it is to servers without 8BITMIME."),
    text("dnssec_probe", "ns:.", "The lookup that shows whether the resolver validates DNSSEC."),
    flag("ignore_mx_lookup_error", "no", "Use the host's address where the lookup of its MX fails."),
    flag("send_cyrus_sasl_authzid", "no", "Send an empty authorization identity to Cyrus SASL servers."),
    choice(
        "smtp_address_preference", "any", "The IP version that the SMTP client tries first.", ("ipv6", "ipv4", "any"), 1
    ),
    text("smtp_address_verify_target", "rcpt", "The command up to which a probe of an address goes.", 1),
    flag("smtp_always_send_ehlo", "yes", "Say EHLO even to servers that do not name ESMTP."),
    flag("smtp_balance_inet_protocols", "yes", "Do not let one IP version use up all addresses to be tried."),
    text("smtp_bind_address", "", "The IPv4 address from which the SMTP client connects."),
    text("smtp_bind_address6", "", "The IPv6 address from which the SMTP client connects."),
    flag("smtp_bind_address_enforce", "no", "Defer mail when the SMTP client cannot use its source address."),
    maps("smtp_body_checks", "", "Patterns for body lines as the SMTP client sends them."),
    flag("smtp_cname_overrides_servername", "no", "Use the name behind a CNAME for SASL and TLS over SMTP."),
    time("smtp_connect_timeout", "30s", "How long the SMTP client waits for a connection."),
    text("smtp_connection_cache_destinations", "", "Destinations for which the SMTP client keeps sessions open."),
    flag("smtp_connection_cache_on_demand", "yes", "Let the SMTP client keep sessions open while much mail waits."),
    time("smtp_connection_cache_time_limit", "2s", "How long an unused SMTP session is kept open.", 1),
    integer("smtp_connection_reuse_count_limit", "0", "How many messages one SMTP session may carry."),
    time("smtp_connection_reuse_time_limit", "300s", "How long one SMTP session may be used.", 1),
    time("smtp_data_done_timeout", "600s", "How long the SMTP client waits for the answer to the final dot.", 1),
    time("smtp_data_init_timeout", "120s", "How long the SMTP client waits for the answer to DATA.", 1),
    time("smtp_data_xfer_timeout", "180s", "How long the SMTP client may be stuck in sending content.", 1),
    flag(
        "smtp_defer_if_no_mx_address_found", "no", "Defer mail when no MX host of an SMTP destination has an address."
    ),
    text(
        "smtp_delivery_status_filter",
        "$default_delivery_status_filter",
        "A table that changes the outcome of SMTP deliveries.",
    ),
    maps("smtp_discard_ehlo_keyword_address_maps", "", "EHLO keywords of single SMTP servers to ignore."),
    words("smtp_discard_ehlo_keywords", "", "EHLO keywords of SMTP servers to ignore."),
    text("smtp_dns_reply_filter", "", "A table that drops or changes DNS answers for the SMTP client."),
    words("smtp_dns_resolver_options", "", "How the SMTP client's resolver completes names."),
    choice(
        "smtp_dns_support_level", "", "Whether the SMTP client uses DNS, and DNSSEC.", ("disabled", "enabled", "dnssec")
    ),
    flag("smtp_enforce_tls", "no", "Old form of smtp_tls_security_level = encrypt."),
    words(
        "smtp_fallback_relay",
        "$fallback_relay",
        "Where mail goes when no SMTP server of its destination can be reached.",
    ),
    maps("smtp_generic_maps", "", "Tables that rewrite addresses as SMTP mail leaves."),
    maps("smtp_header_checks", "", "Patterns for headers as the SMTP client sends them."),
    text("smtp_helo_name", "$myhostname", "The name in the SMTP client's HELO or EHLO.", 1),
    time("smtp_helo_timeout", "300s", "How long the SMTP client waits for the answer to HELO or EHLO.", 1),
    text("smtp_host_lookup", "dns", "Where the SMTP client looks up addresses: DNS, the system's files, or both.", 1),
    integer("smtp_line_length_limit", "998", "Longer body lines are broken as the SMTP client sends them."),
    time("smtp_mail_timeout", "300s", "How long the SMTP client waits for the answer to MAIL FROM.", 1),
    maps("smtp_mime_header_checks", "", "Patterns for headers of MIME parts as the SMTP client sends them."),
    integer(
        "smtp_min_data_rate", "500", "The bytes a second an SMTP server must manage where deadlines are per request.", 1
    ),
    integer("smtp_mx_address_limit", "5", "How many addresses of an SMTP destination are tried."),
    integer("smtp_mx_session_limit", "2", "How many SMTP sessions are tried for a delivery before it is put off."),
    maps("smtp_nested_header_checks", "", "Patterns for headers of attached messages as the SMTP client sends them."),
    flag("smtp_never_send_ehlo", "no", "Say HELO, never EHLO, to SMTP servers."),
    flag(
        "smtp_per_request_deadline",
        "${smtp_per_record_deadline?{$smtp_per_record_deadline}:{no}}",
        "Limit the SMTP client's time for a whole command or reply, not for each read.",
    ),
    time(
        "smtp_pix_workaround_delay_time",
        "10s",
        "The pause before the final dot for SMTP servers behind broken firewalls.",
        1,
    ),
    maps("smtp_pix_workaround_maps", "", "Workarounds for firewalls before single SMTP servers."),
    time(
        "smtp_pix_workaround_threshold_time",
        "500s",
        "How long mail must wait before SMTP firewall workarounds are used.",
    ),
    words(
        "smtp_pix_workarounds", "disable_esmtp,delay_dotcrlf", "Workarounds for broken firewalls before SMTP servers."
    ),
    time("smtp_quit_timeout", "300s", "How long the SMTP client waits for the answer to QUIT.", 1),
    flag("smtp_quote_rfc821_envelope", "yes", "Quote addresses in SMTP commands as the standard says."),
    flag("smtp_randomize_addresses", "yes", "Try SMTP servers of the same preference in random order."),
    time("smtp_rcpt_timeout", "300s", "How long the SMTP client waits for the answer to RCPT TO.", 1),
    text("smtp_reply_filter", "", "A table that rewrites replies of SMTP servers before they are read."),
    time("smtp_rset_timeout", "20s", "How long the SMTP client waits for the answer to RSET.", 1),
    text("smtp_sasl_auth_cache_name", "", "The table that remembers failed logins at SMTP servers."),
    time("smtp_sasl_auth_cache_time", "90d", "How long a failed login at an SMTP server is remembered."),
    flag("smtp_sasl_auth_enable", "no", "Log in at SMTP servers."),
    flag("smtp_sasl_auth_soft_bounce", "yes", "Defer, not bounce, mail when an SMTP server refuses the login."),
    words("smtp_sasl_mechanism_filter", "", "The AUTH mechanisms of SMTP servers that may be used."),
    maps("smtp_sasl_password_maps", "", "Logins and passwords for SMTP servers."),
    text("smtp_sasl_path", "", "What the SASL implementation of the SMTP client needs to find its configuration."),
    words(
        "smtp_sasl_security_options",
        "noplaintext, noanonymous",
        "AUTH mechanisms that the SMTP client does not use, by property.",
    ),
    words(
        "smtp_sasl_tls_security_options",
        "$smtp_sasl_security_options",
        "AUTH mechanisms that the SMTP client does not use within TLS.",
    ),
    words(
        "smtp_sasl_tls_verified_security_options",
        "$smtp_sasl_tls_security_options",
        "AUTH mechanisms that the SMTP client does not use with a verified server.",
    ),
    text("smtp_sasl_type", "cyrus", "The SASL implementation of the SMTP client.", 1),
    flag("smtp_send_dummy_mail_auth", "no", "Add AUTH=<> to MAIL FROM for SMTP servers that offer AUTH."),
    flag("smtp_send_xforward_command", "no", "Tell the SMTP server from whom a message came first, with XFORWARD."),
    flag("smtp_sender_dependent_authentication", "no", "Look up SMTP logins by sender first."),
    flag("smtp_skip_5xx_greeting", "yes", "Try the next SMTP server when one greets with a refusal."),
    flag("smtp_skip_quit_response", "yes", "Do not wait for the SMTP server's answer to QUIT."),
    time("smtp_starttls_timeout", "300s", "How long a TLS handshake with an SMTP server may take.", 1),
    text("smtp_tcp_port", "smtp", "The port of SMTP servers."),
    flag("smtp_use_tls", "no", "Old form of smtp_tls_security_level = may."),
    time("smtp_xforward_timeout", "300s", "How long the SMTP client waits for the answer to XFORWARD.", 1),
)
