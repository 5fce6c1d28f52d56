"""TLS done for other services (tlsproxy(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text(
        "tlsproxy_client_CAfile",
        "$smtp_tls_CAfile",
        "A file of authorities that the SMTP client trusts, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_client_CApath",
        "$smtp_tls_CApath",
        "A directory of authorities that the SMTP client trusts, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_client_cert_file", "$smtp_tls_cert_file", "The SMTP client's certificate, when tlsproxy does the TLS."
    ),
    text(
        "tlsproxy_client_chain_files",
        "$smtp_tls_chain_files",
        "Files with keys and certificate chains of the SMTP client, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_client_dcert_file",
        "$smtp_tls_dcert_file",
        "The SMTP client's DSA certificate, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_client_dkey_file",
        "$smtp_tls_dkey_file",
        "The key of the SMTP client's DSA certificate, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_client_eccert_file",
        "$smtp_tls_eccert_file",
        "The SMTP client's ECDSA certificate, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_client_eckey_file",
        "$smtp_tls_eckey_file",
        "The key of the SMTP client's ECDSA certificate, when tlsproxy does the TLS.",
    ),
    flag("tlsproxy_client_enforce_tls", "$smtp_enforce_tls", "Old form of tlsproxy_client_security_level = encrypt."),
    text(
        "tlsproxy_client_fingerprint_digest",
        "$smtp_tls_fingerprint_digest",
        "The digest of fingerprints of SMTP servers, when tlsproxy does the TLS.",
        1,
    ),
    text(
        "tlsproxy_client_key_file",
        "$smtp_tls_key_file",
        "The key of the SMTP client's certificate, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_client_loglevel",
        "$smtp_tls_loglevel",
        "How much the SMTP client logs about TLS, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_client_loglevel_parameter",
        "smtp_tls_loglevel",
        "The parameter that says how much tlsproxy logs about servers.",
    ),
    text(
        "tlsproxy_client_per_site",
        "$smtp_tls_per_site",
        "TLS for single servers, in the old form, when tlsproxy does it.",
    ),
    maps(
        "tlsproxy_client_policy_maps",
        "${tlsproxy_client_policy:$smtp_tls_policy_maps}",
        "TLS levels for single destinations when tlsproxy does it.",
    ),
    integer(
        "tlsproxy_client_scert_verifydepth",
        "$smtp_tls_scert_verifydepth",
        "How long the chain of an SMTP server's certificate may be, when tlsproxy does the TLS.",
    ),
    choice(
        "tlsproxy_client_security_level",
        "${tlsproxy_client_level:$smtp_tls_security_level}",
        "The SMTP client's TLS level when tlsproxy does its TLS.",
        ("none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"),
    ),
    flag("tlsproxy_client_use_tls", "$smtp_use_tls", "Old form of tlsproxy_client_security_level = may."),
    flag("tlsproxy_enforce_tls", "$smtpd_enforce_tls", "Old form of tlsproxy_tls_security_level = encrypt."),
    text("tlsproxy_service_name", "tlsproxy", "The service that does TLS for others.", 1),
    text(
        "tlsproxy_tls_CAfile",
        "$smtpd_tls_CAfile",
        "A file of authorities that issue client certificates, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_CApath",
        "$smtpd_tls_CApath",
        "A directory of authorities that issue client certificates, when tlsproxy does the TLS.",
    ),
    flag(
        "tlsproxy_tls_always_issue_session_ids",
        "$smtpd_tls_always_issue_session_ids",
        "Give TLS clients a session id even where none is kept, when tlsproxy does the TLS.",
    ),
    flag(
        "tlsproxy_tls_ask_ccert", "$smtpd_tls_ask_ccert", "Ask clients for a certificate, when tlsproxy does the TLS."
    ),
    integer(
        "tlsproxy_tls_ccert_verifydepth",
        "$smtpd_tls_ccert_verifydepth",
        "How long the chain of a client's certificate may be, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_cert_file", "$smtpd_tls_cert_file", "The SMTP server's certificate, when tlsproxy does the TLS."
    ),
    text(
        "tlsproxy_tls_chain_files",
        "$smtpd_tls_chain_files",
        "Files with keys and certificate chains of the SMTP server, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_ciphers",
        "$smtpd_tls_ciphers",
        "The weakest ciphers for opportunistic TLS with clients, when tlsproxy does the TLS.",
        1,
    ),
    text(
        "tlsproxy_tls_dcert_file",
        "$smtpd_tls_dcert_file",
        "The SMTP server's DSA certificate, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_dh1024_param_file",
        "$smtpd_tls_dh1024_param_file",
        'Parameters for Diffie-Hellman key exchange; "auto" for built-in ones, when tlsproxy does the TLS.',
    ),
    text(
        "tlsproxy_tls_dh512_param_file",
        "$smtpd_tls_dh512_param_file",
        "Parameters for export ciphers; not used any more, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_dkey_file",
        "$smtpd_tls_dkey_file",
        "The key of the SMTP server's DSA certificate, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_eccert_file",
        "$smtpd_tls_eccert_file",
        "The SMTP server's ECDSA certificate, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_eckey_file",
        "$smtpd_tls_eckey_file",
        "The key of the SMTP server's ECDSA certificate, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_eecdh_grade",
        "$smtpd_tls_eecdh_grade",
        "Which elliptic curves are used for key exchange with clients, when tlsproxy does the TLS.",
        1,
    ),
    words(
        "tlsproxy_tls_exclude_ciphers",
        "$smtpd_tls_exclude_ciphers",
        "Ciphers that are never used with clients, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_fingerprint_digest",
        "$smtpd_tls_fingerprint_digest",
        "The digest of client certificates' fingerprints, when tlsproxy does the TLS.",
        1,
    ),
    text(
        "tlsproxy_tls_key_file",
        "$smtpd_tls_key_file",
        "The key of the SMTP server's certificate, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_loglevel",
        "$smtpd_tls_loglevel",
        "How much the SMTP server logs about TLS, when tlsproxy does the TLS.",
    ),
    text(
        "tlsproxy_tls_mandatory_ciphers",
        "$smtpd_tls_mandatory_ciphers",
        "The weakest ciphers where clients must use TLS, when tlsproxy does the TLS.",
        1,
    ),
    words(
        "tlsproxy_tls_mandatory_exclude_ciphers",
        "$smtpd_tls_mandatory_exclude_ciphers",
        "Ciphers that are not used where clients must use TLS, when tlsproxy does the TLS.",
    ),
    words(
        "tlsproxy_tls_mandatory_protocols",
        "$smtpd_tls_mandatory_protocols",
        "The TLS versions where clients must use TLS, when tlsproxy does the TLS.",
    ),
    words(
        "tlsproxy_tls_protocols", "$smtpd_tls_protocols", "The TLS versions for clients, when tlsproxy does the TLS."
    ),
    flag(
        "tlsproxy_tls_req_ccert", "$smtpd_tls_req_ccert", "Demand a certificate of clients, when tlsproxy does the TLS."
    ),
    choice(
        "tlsproxy_tls_security_level",
        "$smtpd_tls_security_level",
        "Whether TLS is offered to clients, or demanded of them, when tlsproxy does the TLS.",
        ("none", "may", "encrypt"),
    ),
    flag("tlsproxy_use_tls", "$smtpd_use_tls", "Old form of tlsproxy_tls_security_level = may."),
    time("tlsproxy_watchdog_timeout", "10s", "How long tlsproxy may be stuck before it is stopped.", 10),
)
