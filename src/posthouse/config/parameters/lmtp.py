"""How mail is handed to a mailbox server over LMTP (lmtp(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    choice(
        "lmtp_address_preference", "any", "The IP version that the LMTP client tries first.", ("ipv6", "ipv4", "any"), 1
    ),
    text("lmtp_address_verify_target", "rcpt", "The command up to which a probe of an address goes.", 1),
    flag("lmtp_assume_final", "no", "Report successful delivery for LMTP servers that do not offer DSN."),
    flag("lmtp_balance_inet_protocols", "yes", "Do not let one IP version use up all addresses to be tried."),
    text("lmtp_bind_address", "", "The IPv4 address from which the LMTP client connects."),
    text("lmtp_bind_address6", "", "The IPv6 address from which the LMTP client connects."),
    flag("lmtp_bind_address_enforce", "no", "Defer mail when the LMTP client cannot use its source address."),
    maps("lmtp_body_checks", "", "Patterns for body lines as the LMTP client sends them."),
    flag("lmtp_cname_overrides_servername", "no", "Use the name behind a CNAME for SASL and TLS over LMTP."),
    time("lmtp_connect_timeout", "0s", "How long the LMTP client waits for a connection."),
    text("lmtp_connection_cache_destinations", "", "Destinations for which the LMTP client keeps sessions open."),
    flag("lmtp_connection_cache_on_demand", "yes", "Let the LMTP client keep sessions open while much mail waits."),
    time("lmtp_connection_cache_time_limit", "2s", "How long an unused LMTP session is kept open.", 1),
    integer("lmtp_connection_reuse_count_limit", "0", "How many messages one LMTP session may carry."),
    time("lmtp_connection_reuse_time_limit", "300s", "How long one LMTP session may be used.", 1),
    time("lmtp_data_done_timeout", "600s", "How long the LMTP client waits for the answer to the final dot.", 1),
    time("lmtp_data_init_timeout", "120s", "How long the LMTP client waits for the answer to DATA.", 1),
    time("lmtp_data_xfer_timeout", "180s", "How long the LMTP client may be stuck in sending content.", 1),
    flag(
        "lmtp_defer_if_no_mx_address_found", "no", "Defer mail when no MX host of an LMTP destination has an address."
    ),
    text(
        "lmtp_delivery_status_filter",
        "$default_delivery_status_filter",
        "A table that changes the outcome of LMTP deliveries.",
    ),
    maps("lmtp_discard_lhlo_keyword_address_maps", "", "LHLO keywords of single LMTP servers to ignore."),
    words("lmtp_discard_lhlo_keywords", "", "LHLO keywords of LMTP servers to ignore."),
    text("lmtp_dns_reply_filter", "", "A table that drops or changes DNS answers for the LMTP client."),
    words("lmtp_dns_resolver_options", "", "How the LMTP client's resolver completes names."),
    choice(
        "lmtp_dns_support_level", "", "Whether the LMTP client uses DNS, and DNSSEC.", ("disabled", "enabled", "dnssec")
    ),
    flag("lmtp_enforce_tls", "no", "Old form of lmtp_tls_security_level = encrypt."),
    words("lmtp_fallback_relay", "", "Where mail goes when no LMTP server of its destination can be reached."),
    maps("lmtp_generic_maps", "", "Tables that rewrite addresses as LMTP mail leaves."),
    maps("lmtp_header_checks", "", "Patterns for headers as the LMTP client sends them."),
    text("lmtp_host_lookup", "dns", "Where the LMTP client looks up addresses: DNS, the system's files, or both.", 1),
    text("lmtp_lhlo_name", "$myhostname", "The name in the LMTP client's LHLO.", 1),
    time("lmtp_lhlo_timeout", "300s", "How long the LMTP client waits for the answer to LHLO.", 1),
    integer("lmtp_line_length_limit", "998", "Longer body lines are broken as the LMTP client sends them."),
    time("lmtp_mail_timeout", "300s", "How long the LMTP client waits for the answer to MAIL FROM.", 1),
    maps("lmtp_mime_header_checks", "", "Patterns for headers of MIME parts as the LMTP client sends them."),
    integer(
        "lmtp_min_data_rate", "500", "The bytes a second an LMTP server must manage where deadlines are per request.", 1
    ),
    integer("lmtp_mx_address_limit", "5", "How many addresses of an LMTP destination are tried."),
    integer("lmtp_mx_session_limit", "2", "How many LMTP sessions are tried for a delivery before it is put off."),
    maps("lmtp_nested_header_checks", "", "Patterns for headers of attached messages as the LMTP client sends them."),
    flag(
        "lmtp_per_request_deadline",
        "${lmtp_per_record_deadline?{$lmtp_per_record_deadline}:{no}}",
        "Limit the LMTP client's time for a whole command or reply, not for each read.",
    ),
    time(
        "lmtp_pix_workaround_delay_time",
        "10s",
        "The pause before the final dot for LMTP servers behind broken firewalls.",
        1,
    ),
    maps("lmtp_pix_workaround_maps", "", "Workarounds for firewalls before single LMTP servers."),
    time(
        "lmtp_pix_workaround_threshold_time",
        "500s",
        "How long mail must wait before LMTP firewall workarounds are used.",
    ),
    words(
        "lmtp_pix_workarounds", "disable_esmtp,delay_dotcrlf", "Workarounds for broken firewalls before LMTP servers."
    ),
    time("lmtp_quit_timeout", "300s", "How long the LMTP client waits for the answer to QUIT.", 1),
    flag("lmtp_quote_rfc821_envelope", "yes", "Quote addresses in LMTP commands as the standard says."),
    flag("lmtp_randomize_addresses", "yes", "Try LMTP servers of the same preference in random order."),
    time("lmtp_rcpt_timeout", "300s", "How long the LMTP client waits for the answer to RCPT TO.", 1),
    text("lmtp_reply_filter", "", "A table that rewrites replies of LMTP servers before they are read."),
    time("lmtp_rset_timeout", "20s", "How long the LMTP client waits for the answer to RSET.", 1),
    text("lmtp_sasl_auth_cache_name", "", "The table that remembers failed logins at LMTP servers."),
    time("lmtp_sasl_auth_cache_time", "90d", "How long a failed login at an LMTP server is remembered."),
    flag("lmtp_sasl_auth_enable", "no", "Log in at LMTP servers."),
    flag("lmtp_sasl_auth_soft_bounce", "yes", "Defer, not bounce, mail when an LMTP server refuses the login."),
    words("lmtp_sasl_mechanism_filter", "", "The AUTH mechanisms of LMTP servers that may be used."),
    maps("lmtp_sasl_password_maps", "", "Logins and passwords for LMTP servers."),
    text("lmtp_sasl_path", "", "What the SASL implementation of the LMTP client needs to find its configuration."),
    words(
        "lmtp_sasl_security_options",
        "noplaintext, noanonymous",
        "AUTH mechanisms that the LMTP client does not use, by property.",
    ),
    words(
        "lmtp_sasl_tls_security_options",
        "$lmtp_sasl_security_options",
        "AUTH mechanisms that the LMTP client does not use within TLS.",
    ),
    words(
        "lmtp_sasl_tls_verified_security_options",
        "$lmtp_sasl_tls_security_options",
        "AUTH mechanisms that the LMTP client does not use with a verified server.",
    ),
    text("lmtp_sasl_type", "cyrus", "The SASL implementation of the LMTP client.", 1),
    flag("lmtp_send_dummy_mail_auth", "no", "Add AUTH=<> to MAIL FROM for LMTP servers that offer AUTH."),
    flag("lmtp_send_xforward_command", "no", "Tell the LMTP server from whom a message came first, with XFORWARD."),
    flag("lmtp_sender_dependent_authentication", "no", "Look up LMTP logins by sender first."),
    flag("lmtp_skip_5xx_greeting", "yes", "Try the next LMTP server when one greets with a refusal."),
    flag("lmtp_skip_quit_response", "no", "Do not wait for the LMTP server's answer to QUIT."),
    time("lmtp_starttls_timeout", "300s", "How long a TLS handshake with an LMTP server may take.", 1),
    text("lmtp_tcp_port", "24", "The port of LMTP servers."),
    flag("lmtp_use_tls", "no", "Old form of lmtp_tls_security_level = may."),
    time("lmtp_xforward_timeout", "300s", "How long the LMTP client waits for the answer to XFORWARD.", 1),
)
