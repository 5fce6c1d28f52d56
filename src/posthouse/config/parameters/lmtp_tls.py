"""TLS with mailbox servers over LMTP (lmtp(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    text("lmtp_tls_CAfile", "", "A file of authorities that the LMTP client trusts."),
    text("lmtp_tls_CApath", "", "A directory of authorities that the LMTP client trusts."),
    flag("lmtp_tls_block_early_mail_reply", "no", "Do not use LMTP sessions in which a reply came before it could."),
    text("lmtp_tls_cert_file", "", "The LMTP client's certificate."),
    text("lmtp_tls_chain_files", "", "Files with keys and certificate chains of the LMTP client."),
    text("lmtp_tls_ciphers", "medium", "The weakest ciphers for opportunistic TLS of the LMTP client.", 1),
    flag("lmtp_tls_connection_reuse", "no", "Let several deliveries use one TLS session to an LMTP server."),
    text("lmtp_tls_dcert_file", "", "The LMTP client's DSA certificate."),
    text("lmtp_tls_dkey_file", "$lmtp_tls_dcert_file", "The key of the LMTP client's DSA certificate."),
    text("lmtp_tls_eccert_file", "", "The LMTP client's ECDSA certificate."),
    text("lmtp_tls_eckey_file", "$lmtp_tls_eccert_file", "The key of the LMTP client's ECDSA certificate."),
    flag(
        "lmtp_tls_enforce_peername",
        "yes",
        "Demand, with the old parameters, that an LMTP server's certificate names it.",
    ),
    words("lmtp_tls_exclude_ciphers", "", "Ciphers that the LMTP client never uses."),
    words("lmtp_tls_fingerprint_cert_match", "", 'Fingerprints of LMTP servers\' certificates at level "fingerprint".'),
    text(
        "lmtp_tls_fingerprint_digest",
        "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
        "The digest of fingerprints of LMTP servers.",
        1,
    ),
    flag(
        "lmtp_tls_force_insecure_host_tlsa_lookup",
        "no",
        "Look for TLSA records of LMTP servers whose address is not secured by DNSSEC.",
    ),
    text("lmtp_tls_key_file", "$lmtp_tls_cert_file", "The key of the LMTP client's certificate."),
    text("lmtp_tls_loglevel", "0", "How much the LMTP client logs about TLS."),
    text("lmtp_tls_mandatory_ciphers", "medium", "The weakest ciphers where the LMTP client demands TLS.", 1),
    words("lmtp_tls_mandatory_exclude_ciphers", "", "Ciphers that the LMTP client does not use where it demands TLS."),
    words("lmtp_tls_mandatory_protocols", ">=TLSv1", "The TLS versions where the LMTP client demands TLS."),
    flag("lmtp_tls_note_starttls_offer", "no", "Log LMTP servers that offer TLS which is not used."),
    maps("lmtp_tls_per_site", "", "TLS for single LMTP servers, in the old form."),
    maps("lmtp_tls_policy_maps", "", "TLS levels and attributes for single LMTP destinations."),
    words("lmtp_tls_protocols", ">=TLSv1", "The TLS versions of the LMTP client."),
    integer("lmtp_tls_scert_verifydepth", "9", "How long the chain of an LMTP server's certificate may be."),
    words(
        "lmtp_tls_secure_cert_match", "nexthop", 'What an LMTP server\'s certificate must name at level "secure".', 1
    ),
    choice(
        "lmtp_tls_security_level",
        "",
        "Whether the LMTP client uses or demands TLS, and how it checks the server.",
        ("none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"),
    ),
    text("lmtp_tls_servername", "", "The name the LMTP client asks for in its TLS handshake."),
    text("lmtp_tls_session_cache_database", "", "The table of TLS sessions with LMTP servers."),
    time(
        "lmtp_tls_session_cache_timeout",
        "3600s",
        "How long a TLS session with an LMTP server may be resumed.",
        0,
        8640000,
    ),
    text("lmtp_tls_trust_anchor_file", "", "Certificates or keys that the LMTP client trusts instead of authorities."),
    words(
        "lmtp_tls_verify_cert_match", "hostname", 'What an LMTP server\'s certificate must name at level "verify".', 1
    ),
    flag("lmtp_tls_wrappermode", "no", "Begin LMTP sessions with TLS, without STARTTLS."),
)
