"""TLS with clients (smtpd(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("smtpd_tls_CAfile", "", "A file of authorities that issue client certificates."),
    text("smtpd_tls_CApath", "", "A directory of authorities that issue client certificates."),
    flag("smtpd_tls_always_issue_session_ids", "yes", "Give TLS clients a session id even where none is kept."),
    flag("smtpd_tls_ask_ccert", "no", "Ask clients for a certificate."),
    flag("smtpd_tls_auth_only", "no", "Offer AUTH only within TLS."),
    integer("smtpd_tls_ccert_verifydepth", "9", "How long the chain of a client's certificate may be."),
    text("smtpd_tls_cert_file", "", "The SMTP server's certificate."),
    text("smtpd_tls_chain_files", "", "Files with keys and certificate chains of the SMTP server."),
    text("smtpd_tls_ciphers", "medium", "The weakest ciphers for opportunistic TLS with clients.", 1),
    text("smtpd_tls_dcert_file", "", "The SMTP server's DSA certificate."),
    text("smtpd_tls_dh1024_param_file", "", 'Parameters for Diffie-Hellman key exchange; "auto" for built-in ones.'),
    text("smtpd_tls_dh512_param_file", "", "Parameters for export ciphers; not used any more."),
    text("smtpd_tls_dkey_file", "$smtpd_tls_dcert_file", "The key of the SMTP server's DSA certificate."),
    text("smtpd_tls_eccert_file", "", "The SMTP server's ECDSA certificate."),
    text("smtpd_tls_eckey_file", "$smtpd_tls_eccert_file", "The key of the SMTP server's ECDSA certificate."),
    text("smtpd_tls_eecdh_grade", "auto", "Which elliptic curves are used for key exchange with clients.", 1),
    words("smtpd_tls_exclude_ciphers", "", "Ciphers that are never used with clients."),
    text(
        "smtpd_tls_fingerprint_digest",
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        "The digest of client certificates' fingerprints.",
        1,
    ),
    text("smtpd_tls_key_file", "$smtpd_tls_cert_file", "The key of the SMTP server's certificate."),
    text("smtpd_tls_loglevel", "0", "How much the SMTP server logs about TLS."),
    text("smtpd_tls_mandatory_ciphers", "medium", "The weakest ciphers where clients must use TLS.", 1),
    words("smtpd_tls_mandatory_exclude_ciphers", "", "Ciphers that are not used where clients must use TLS."),
    words("smtpd_tls_mandatory_protocols", ">=TLSv1", "The TLS versions where clients must use TLS."),
    words("smtpd_tls_protocols", ">=TLSv1", "The TLS versions for clients."),
    flag("smtpd_tls_received_header", "no", "Write protocol, cipher and certificate into the Received: header."),
    flag("smtpd_tls_req_ccert", "no", "Demand a certificate of clients."),
    choice(
        "smtpd_tls_security_level",
        "",
        "Whether TLS is offered to clients, or demanded of them.",
        ("none", "may", "encrypt", "fingerprint", "verify", "secure"),
    ),
    text("smtpd_tls_session_cache_database", "", "The table of TLS sessions with clients."),
    time("smtpd_tls_session_cache_timeout", "3600s", "How long a client's TLS session may be resumed.", 0, 8640000),
    flag("smtpd_tls_wrappermode", "no", "Begin sessions with TLS, as on port 465."),
)
