"""TLS in general (tlsmgr(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    flag("tls_append_default_CA", "no", "Trust the system's authorities beside those that are configured."),
    text("tls_config_file", "default", "The configuration file of the TLS library."),
    text("tls_config_name", "", "The section in the TLS library's configuration file."),
    integer("tls_daemon_random_bytes", "32", "How many random bytes a daemon asks for at its start.", 1),
    text("tls_dane_digests", "sha512 sha256", "The digests of TLSA records, best first.", 1),
    words("tls_disable_workarounds", "", "Workarounds for faulty TLS peers that are switched off."),
    text(
        "tls_eecdh_auto_curves",
        "X25519 X448 prime256v1 secp521r1 secp384r1",
        "The curves from which key exchange picks.",
        1,
    ),
    text("tls_eecdh_strong_curve", "prime256v1", 'The curve of key exchange at grade "strong".', 1),
    text("tls_eecdh_ultra_curve", "secp384r1", 'The curve of key exchange at grade "ultra".', 1),
    text(
        "tls_export_cipherlist",
        "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH",
        'The ciphers of grade "export" or better.',
        1,
    ),
    flag("tls_fast_shutdown_enable", "yes", "End TLS sessions without waiting for the peer."),
    text("tls_high_cipherlist", "aNULL:-aNULL:HIGH:@STRENGTH", 'The ciphers of grade "high".', 1),
    flag("tls_legacy_public_key_fingerprints", "no", "Compute key fingerprints as early releases did."),
    text(
        "tls_low_cipherlist", "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH", 'The ciphers of grade "low" or better.', 1
    ),
    text(
        "tls_medium_cipherlist",
        "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH",
        'The ciphers of grade "medium" or better.',
        1,
    ),
    text("tls_null_cipherlist", "eNULL:!aNULL", 'The ciphers of grade "null": authentication without encryption.', 1),
    flag("tls_preempt_cipherlist", "no", "Let the server's order of ciphers decide, not the client's."),
    integer("tls_random_bytes", "32", "How many random bytes are read from tls_random_source.", 1),
    text("tls_random_exchange_name", "${data_directory}/prng_exch", "The file that keeps random state over restarts."),
    time("tls_random_prng_update_period", "3600s", "How often random state is written to its file.", 1),
    time("tls_random_reseed_period", "3600s", "How often new randomness is read.", 1),
    text("tls_random_source", "dev:/dev/urandom", "Where randomness for TLS comes from."),
    maps("tls_server_sni_maps", "", "Keys and certificates by the server name that a client asks for."),
    text("tls_session_ticket_cipher", "aes-256-cbc", "The cipher of TLS session tickets."),
    words("tls_ssl_options", "", "Options of the TLS library that are switched on."),
    flag(
        "tls_wildcard_matches_multiple_labels", "yes", 'Let "*.example.com" in a certificate mean a.b.example.com too.'
    ),
    text("tlsmgr_service_name", "tlsmgr", "The service that keeps TLS sessions and randomness.", 1),
)
