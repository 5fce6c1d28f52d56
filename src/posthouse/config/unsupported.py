"""Parameters that are known here but not honoured yet, each with the reason; who sets one is told so at start."""

from __future__ import annotations

from typing import Final

UNSUPPORTED: Final[dict[str, str]] = {
    # A name that ends in * means all parameters that begin so.
    "postscreen_*": "there is no postscreen service yet; clients reach the SMTP server directly",
    "dnsblog_*": "there is no postscreen service yet, which asks it",
    "tlsproxy_*": "each process does its own TLS; there is no tlsproxy service",
    "qmqpd_*": "mail over QMQP is not taken",
    "berkeley_db_*": "hash: and btree: tables have an index of our own, not Berkeley DB",
    "send_cyrus_sasl_authzid": "the Cyrus SASL library is not used",
    "fault_injection_code": "it exists for tests of Postfix itself",
    "debugger_command": "services are not processes that a debugger could be attached to",
    "hash_queue_*": "the queue is a database, not directories",
    "sun_mailtool_compatibility": "it has had no effect for many releases",
    "smtpd_tls_dh512_param_file": "export ciphers no longer exist",
    "tls_export_cipherlist": "export ciphers no longer exist",
    "multi_instance_*": "each instance is started by itself; there is no postmulti",
    "postmulti_*": "each instance is started by itself; there is no postmulti",
    "shlib_directory": "nothing is loaded as a plug-in",
    "dont_remove": "the queue is a database: a delivered message is not kept",
    "tls_random_*": "randomness comes from the operating system",
    "tls_daemon_random_bytes": "randomness comes from the operating system",
    "cleanup_replace_stray_cr_lf": "bare carriage returns and line feeds are treated as smtpd_forbid_bare_newline says",
    "dnssec_probe": "DNSSEC answers are not asked for yet",
    "empty_address_local_login_sender_maps_lookup_key": "who may use which sender in sendmail is not checked yet",
    "enable_idna2003_compatibility": "names are converted by the DNS library's rules",
    "fast_flush_purge_time": "the queue itself is asked for what waits for a destination; there is no list of it",
    "fast_flush_refresh_time": "the queue itself is asked for what waits for a destination; there is no list of it",
    "import_environment": "daemons get a clean environment; commands get what export_environment says",
    "lmtp_assume_final": "delivery over LMTP is reported as relayed, as by default",
    "local_login_sender_maps": "who may use which sender in sendmail is not checked yet",
    "master_service_disable": "remove or comment out the service in master.cf instead",
    "queue_file_attribute_count_limit": "the number of attributes of a message is fixed",
    "require_home_directory": "a missing home directory does not defer mail yet",
    "strict_smtputf8": "UTF-8 addresses are taken from clients that have asked for SMTPUTF8 only",
    "tls_config_file": "OpenSSL's own configuration applies",
    "tls_config_name": "OpenSSL's own configuration applies",
    "tls_disable_workarounds": "OpenSSL's defaults apply",
    "tls_ssl_options": "OpenSSL's defaults apply; versions and ciphers follow their own parameters",
    "tls_legacy_public_key_fingerprints": "fingerprints are of the public key alone",
    "tls_wildcard_matches_multiple_labels": "a wildcard in a certificate stands for one label",
    "smtpd_expansion_filter": "expanded text is made printable by fixed rules",
    "smtpd_tls_ccert_verifydepth": "chains of certificates may have OpenSSL's usual depth",
    "smtp_tls_dane_insecure_mx_policy": "DANE is not built yet",
    "tls_dane_digests": "DANE is not built yet",
} | {
    f"{prefix}_{name}": reason
    for name, reason in {
        "balance_inet_protocols": "IPv4 and IPv6 addresses of equal preference are mixed at random",
        "bind_address_enforce": "a source address that cannot be used defers the mail always",
        "cname_overrides_servername": "a server is called by the name that was looked up, as by default",
        "dns_resolver_options": "DNSSEC answers are not asked for yet",
        "min_data_rate": "time limits hold for each step, not for the rate of data",
        "per_request_deadline": "time limits hold for each step of a conversation",
        "pix_workarounds": "no work-arounds for broken PIX firewalls are built in",
        "pix_workaround_maps": "no work-arounds for broken PIX firewalls are built in",
        "sasl_auth_cache_name": "a failed login is tried again at the next delivery",
        "sasl_type": "the mechanisms PLAIN, LOGIN, CRAM-MD5 and SCRAM-SHA-256 are our own",
        "sasl_path": "the mechanisms PLAIN, LOGIN, CRAM-MD5 and SCRAM-SHA-256 are our own",
        "tls_block_early_mail_reply": "what a server says ahead of its turn is not taken for an answer to DATA",
        "tls_force_insecure_host_tlsa_lookup": "DANE is not built yet",
        "tls_scert_verifydepth": "chains of certificates may have OpenSSL's usual depth",
        "tls_trust_anchor_file": "use CAfile, or tafile in a TLS policy",
    }.items()
    for prefix in ("smtp", "lmtp")
}

# Settings of Postfix's own machinery that change nothing for mail: who sets one need not be told at every start.
NOT_NEEDED: Final[dict[str, str]] = {
    "a process of Postfix that is not one here": (
        "application_event_drain_time daemon_timeout fork_attempts fork_delay in_flow_delay ipc_idle ipc_timeout "
        "ipc_ttl max_use service_throttle_time trigger_timeout transport_retry_time qmgr_clog_warn_time "
        "qmgr_fudge_factor connection_cache_status_update_time connection_cache_ttl_limit known_tcp_ports "
        "process_id_directory postlogd_watchdog_timeout qmgr_daemon_timeout qmgr_ipc_timeout smtp_quit_timeout "
        "lmtp_quit_timeout connection_cache_protocol_timeout smtpd_policy_service_max_idle "
        "smtpd_policy_service_max_ttl tcp_windowsize smtpd_history_flush_threshold"
    ),
    "the name of a service that workers do themselves": (
        "address_verify_service_name bounce_service_name connection_cache_service_name defer_service_name "
        "error_service_name flush_service_name pickup_service_name postlog_service_name proxymap_service_name "
        "proxywrite_service_name queue_service_name rewrite_service_name showq_service_name smtpd_service_name "
        "tlsmgr_service_name trace_service_name"
    ),
    "where Postfix is installed, told to others by postconf": (
        "daemon_directory html_directory mail_release_date mail_version mailq_path manpage_directory "
        "meta_directory newaliases_path openssl_path readme_directory sample_directory sendmail_path setgid_group"
    ),
    "tables are read by workers themselves": "proxy_read_maps proxy_write_maps lmdb_map_size",
    "a cache that only saves time": (
        "smtpd_tls_session_cache_database "
        "smtpd_tls_always_issue_session_ids tls_session_ticket_cipher address_verify_cache_cleanup_interval "
        "smtp_sasl_auth_cache_time "
        "lmtp_sasl_auth_cache_time address_verify_sender_ttl"
    ),
    "how chatty Postfix's log is": (
        "debug_peer_level destination_concurrency_feedback_debug helpful_warnings respectful_logging "
        "info_log_address_format"
    ),
    "an old way that is the only one here, or never was": (
        "backwards_bounce_logfile_compatibility biff daemon_table_open_error_is_fatal dns_ncache_ttl_fix_enable "
        "smtp_pix_workaround_delay_time smtp_pix_workaround_threshold_time lmtp_pix_workaround_delay_time "
        "lmtp_pix_workaround_threshold_time lmtp_skip_quit_response smtpd_min_data_rate "
        "smtpd_per_request_deadline"
    ),
}

_PREFIXES: Final = tuple((name[:-1], reason) for name, reason in UNSUPPORTED.items() if name.endswith("*"))


def reason_against(name: str) -> str | None:
    """Why a parameter has no effect here; None where it has."""
    found = UNSUPPORTED.get(name)
    if found is not None:
        return found
    return next((reason for prefix, reason in _PREFIXES if name.startswith(prefix)), None)
