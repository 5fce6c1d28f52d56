"""Parameters: smtpd_tls."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("smtpd_tls_CAfile", "", ""),
    text("smtpd_tls_CApath", "", ""),
    flag("smtpd_tls_always_issue_session_ids", "yes", ""),
    flag("smtpd_tls_ask_ccert", "no", ""),
    flag("smtpd_tls_auth_only", "no", ""),
    integer("smtpd_tls_ccert_verifydepth", "9", ""),
    text("smtpd_tls_cert_file", "", ""),
    text("smtpd_tls_chain_files", "", ""),
    text("smtpd_tls_ciphers", "medium", "", 1),
    text("smtpd_tls_dcert_file", "", ""),
    text("smtpd_tls_dh1024_param_file", "", ""),
    text("smtpd_tls_dh512_param_file", "", ""),
    text("smtpd_tls_dkey_file", "$smtpd_tls_dcert_file", ""),
    text("smtpd_tls_eccert_file", "", ""),
    text("smtpd_tls_eckey_file", "$smtpd_tls_eccert_file", ""),
    text("smtpd_tls_eecdh_grade", "auto", "", 1),
    words("smtpd_tls_exclude_ciphers", "", ""),
    text("smtpd_tls_fingerprint_digest", "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}", "", 1),
    text("smtpd_tls_key_file", "$smtpd_tls_cert_file", ""),
    text("smtpd_tls_loglevel", "0", ""),
    text("smtpd_tls_mandatory_ciphers", "medium", "", 1),
    words("smtpd_tls_mandatory_exclude_ciphers", "", ""),
    words("smtpd_tls_mandatory_protocols", ">=TLSv1", ""),
    words("smtpd_tls_protocols", ">=TLSv1", ""),
    flag("smtpd_tls_received_header", "no", ""),
    flag("smtpd_tls_req_ccert", "no", ""),
    choice("smtpd_tls_security_level", "", "", ("none", "may", "encrypt")),
    text("smtpd_tls_session_cache_database", "", ""),
    time("smtpd_tls_session_cache_timeout", "3600s", "", 0, 8640000),
    flag("smtpd_tls_wrappermode", "no", ""),
)
