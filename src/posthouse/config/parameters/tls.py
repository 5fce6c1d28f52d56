"""Parameters: tls."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, maps, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    flag("tls_append_default_CA", "no", ""),
    text("tls_config_file", "default", ""),
    text("tls_config_name", "", ""),
    integer("tls_daemon_random_bytes", "32", "", 1),
    text("tls_dane_digests", "sha512 sha256", "", 1),
    words("tls_disable_workarounds", "", ""),
    text("tls_eecdh_auto_curves", "X25519 X448 prime256v1 secp521r1 secp384r1", "", 1),
    text("tls_eecdh_strong_curve", "prime256v1", "", 1),
    text("tls_eecdh_ultra_curve", "secp384r1", "", 1),
    text("tls_export_cipherlist", "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH", "", 1),
    flag("tls_fast_shutdown_enable", "yes", ""),
    text("tls_high_cipherlist", "aNULL:-aNULL:HIGH:@STRENGTH", "", 1),
    flag("tls_legacy_public_key_fingerprints", "no", ""),
    text("tls_low_cipherlist", "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH", "", 1),
    text("tls_medium_cipherlist", "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH", "", 1),
    text("tls_null_cipherlist", "eNULL:!aNULL", "", 1),
    flag("tls_preempt_cipherlist", "no", ""),
    integer("tls_random_bytes", "32", "", 1),
    text("tls_random_exchange_name", "${data_directory}/prng_exch", ""),
    time("tls_random_prng_update_period", "3600s", "", 1),
    time("tls_random_reseed_period", "3600s", "", 1),
    text("tls_random_source", "dev:/dev/urandom", ""),
    maps("tls_server_sni_maps", "", ""),
    text("tls_session_ticket_cipher", "aes-256-cbc", ""),
    words("tls_ssl_options", "", ""),
    flag("tls_wildcard_matches_multiple_labels", "yes", ""),
    text("tlsmgr_service_name", "tlsmgr", "", 1),
)
