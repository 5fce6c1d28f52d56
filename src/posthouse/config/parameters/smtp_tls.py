"""TLS with servers over SMTP (smtp(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("smtp_tls_CAfile", "", "A file of authorities that the SMTP client trusts."),
    text("smtp_tls_CApath", "", "A directory of authorities that the SMTP client trusts."),
    flag("smtp_tls_block_early_mail_reply", "no", "Do not use SMTP sessions in which a reply came before it could."),
    text("smtp_tls_cert_file", "", "The SMTP client's certificate."),
    text("smtp_tls_chain_files", "", "Files with keys and certificate chains of the SMTP client."),
    text("smtp_tls_ciphers", "medium", "The weakest ciphers for opportunistic TLS of the SMTP client.", 1),
    flag("smtp_tls_connection_reuse", "no", "Let several deliveries use one TLS session to an SMTP server."),
    text(
        "smtp_tls_dane_insecure_mx_policy",
        "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}",
        "The TLS level for MX hosts of SMTP destinations found without DNSSEC.",
    ),
    text("smtp_tls_dcert_file", "", "The SMTP client's DSA certificate."),
    text("smtp_tls_dkey_file", "$smtp_tls_dcert_file", "The key of the SMTP client's DSA certificate."),
    text("smtp_tls_eccert_file", "", "The SMTP client's ECDSA certificate."),
    text("smtp_tls_eckey_file", "$smtp_tls_eccert_file", "The key of the SMTP client's ECDSA certificate."),
    flag(
        "smtp_tls_enforce_peername",
        "yes",
        "Demand, with the old parameters, that an SMTP server's certificate names it.",
    ),
    words("smtp_tls_exclude_ciphers", "", "Ciphers that the SMTP client never uses."),
    words("smtp_tls_fingerprint_cert_match", "", 'Fingerprints of SMTP servers\' certificates at level "fingerprint".'),
    text(
        "smtp_tls_fingerprint_digest",
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        "The digest of fingerprints of SMTP servers.",
        1,
    ),
    flag(
        "smtp_tls_force_insecure_host_tlsa_lookup",
        "no",
        "Look for TLSA records of SMTP servers whose address is not secured by DNSSEC.",
    ),
    text("smtp_tls_key_file", "$smtp_tls_cert_file", "The key of the SMTP client's certificate."),
    text("smtp_tls_loglevel", "0", "How much the SMTP client logs about TLS."),
    text("smtp_tls_mandatory_ciphers", "medium", "The weakest ciphers where the SMTP client demands TLS.", 1),
    words("smtp_tls_mandatory_exclude_ciphers", "", "Ciphers that the SMTP client does not use where it demands TLS."),
    words("smtp_tls_mandatory_protocols", ">=TLSv1", "The TLS versions where the SMTP client demands TLS."),
    flag("smtp_tls_note_starttls_offer", "no", "Log SMTP servers that offer TLS which is not used."),
    maps("smtp_tls_per_site", "", "TLS for single SMTP servers, in the old form."),
    maps("smtp_tls_policy_maps", "", "TLS levels and attributes for single SMTP destinations."),
    words("smtp_tls_protocols", ">=TLSv1", "The TLS versions of the SMTP client."),
    integer("smtp_tls_scert_verifydepth", "9", "How long the chain of an SMTP server's certificate may be."),
    words(
        "smtp_tls_secure_cert_match",
        "nexthop, dot-nexthop",
        'What an SMTP server\'s certificate must name at level "secure".',
        1,
    ),
    choice(
        "smtp_tls_security_level",
        "",
        "Whether the SMTP client uses or demands TLS, and how it checks the server.",
        ("none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"),
    ),
    text("smtp_tls_servername", "", "The name the SMTP client asks for in its TLS handshake."),
    text("smtp_tls_session_cache_database", "", "The table of TLS sessions with SMTP servers."),
    time(
        "smtp_tls_session_cache_timeout",
        "3600s",
        "How long a TLS session with an SMTP server may be resumed.",
        0,
        8640000,
    ),
    text("smtp_tls_trust_anchor_file", "", "Certificates or keys that the SMTP client trusts instead of authorities."),
    words(
        "smtp_tls_verify_cert_match", "hostname", 'What an SMTP server\'s certificate must name at level "verify".', 1
    ),
    flag("smtp_tls_wrappermode", "no", "Begin SMTP sessions with TLS, without STARTTLS."),
)
