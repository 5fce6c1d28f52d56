"""Parameters: lmtp_tls."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("lmtp_tls_CAfile", "", ""),
    text("lmtp_tls_CApath", "", ""),
    flag("lmtp_tls_block_early_mail_reply", "no", ""),
    text("lmtp_tls_cert_file", "", ""),
    text("lmtp_tls_chain_files", "", ""),
    text("lmtp_tls_ciphers", "medium", "", 1),
    flag("lmtp_tls_connection_reuse", "no", ""),
    text("lmtp_tls_dcert_file", "", ""),
    text("lmtp_tls_dkey_file", "$lmtp_tls_dcert_file", ""),
    text("lmtp_tls_eccert_file", "", ""),
    text("lmtp_tls_eckey_file", "$lmtp_tls_eccert_file", ""),
    flag("lmtp_tls_enforce_peername", "yes", ""),
    words("lmtp_tls_exclude_ciphers", "", ""),
    words("lmtp_tls_fingerprint_cert_match", "", ""),
    text("lmtp_tls_fingerprint_digest", "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}", "", 1),
    flag("lmtp_tls_force_insecure_host_tlsa_lookup", "no", ""),
    text("lmtp_tls_key_file", "$lmtp_tls_cert_file", ""),
    text("lmtp_tls_loglevel", "0", ""),
    text("lmtp_tls_mandatory_ciphers", "medium", "", 1),
    words("lmtp_tls_mandatory_exclude_ciphers", "", ""),
    words("lmtp_tls_mandatory_protocols", ">=TLSv1", ""),
    flag("lmtp_tls_note_starttls_offer", "no", ""),
    text("lmtp_tls_per_site", "", ""),
    maps("lmtp_tls_policy_maps", "", ""),
    words("lmtp_tls_protocols", ">=TLSv1", ""),
    integer("lmtp_tls_scert_verifydepth", "9", ""),
    words("lmtp_tls_secure_cert_match", "nexthop", "", 1),
    choice(
        "lmtp_tls_security_level",
        "",
        "",
        ("none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"),
    ),
    text("lmtp_tls_servername", "", ""),
    text("lmtp_tls_session_cache_database", "", ""),
    time("lmtp_tls_session_cache_timeout", "3600s", "", 0, 8640000),
    text("lmtp_tls_trust_anchor_file", "", ""),
    words("lmtp_tls_verify_cert_match", "hostname", "", 1),
    flag("lmtp_tls_wrappermode", "no", ""),
)
