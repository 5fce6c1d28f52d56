"""Parameters: smtp_tls."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("smtp_tls_CAfile", "", ""),
    text("smtp_tls_CApath", "", ""),
    flag("smtp_tls_block_early_mail_reply", "no", ""),
    text("smtp_tls_cert_file", "", ""),
    text("smtp_tls_chain_files", "", ""),
    text("smtp_tls_ciphers", "medium", "", 1),
    flag("smtp_tls_connection_reuse", "no", ""),
    text("smtp_tls_dane_insecure_mx_policy", "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}", ""),
    text("smtp_tls_dcert_file", "", ""),
    text("smtp_tls_dkey_file", "$smtp_tls_dcert_file", ""),
    text("smtp_tls_eccert_file", "", ""),
    text("smtp_tls_eckey_file", "$smtp_tls_eccert_file", ""),
    flag("smtp_tls_enforce_peername", "yes", ""),
    words("smtp_tls_exclude_ciphers", "", ""),
    words("smtp_tls_fingerprint_cert_match", "", ""),
    text("smtp_tls_fingerprint_digest", "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}", "", 1),
    flag("smtp_tls_force_insecure_host_tlsa_lookup", "no", ""),
    text("smtp_tls_key_file", "$smtp_tls_cert_file", ""),
    text("smtp_tls_loglevel", "0", ""),
    text("smtp_tls_mandatory_ciphers", "medium", "", 1),
    words("smtp_tls_mandatory_exclude_ciphers", "", ""),
    words("smtp_tls_mandatory_protocols", ">=TLSv1", ""),
    flag("smtp_tls_note_starttls_offer", "no", ""),
    text("smtp_tls_per_site", "", ""),
    maps("smtp_tls_policy_maps", "", ""),
    words("smtp_tls_protocols", ">=TLSv1", ""),
    integer("smtp_tls_scert_verifydepth", "9", ""),
    words("smtp_tls_secure_cert_match", "nexthop, dot-nexthop", "", 1),
    choice(
        "smtp_tls_security_level",
        "",
        "",
        ("none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"),
    ),
    text("smtp_tls_servername", "", ""),
    text("smtp_tls_session_cache_database", "", ""),
    time("smtp_tls_session_cache_timeout", "3600s", "", 0, 8640000),
    text("smtp_tls_trust_anchor_file", "", ""),
    words("smtp_tls_verify_cert_match", "hostname", "", 1),
    flag("smtp_tls_wrappermode", "no", ""),
)
