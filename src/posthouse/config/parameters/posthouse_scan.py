"""The scanner that takes amavisd's place (a service of master.cf that runs scan)."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, integer, text, time, words

_WHEN_DOWN = ("defer", "pass", "quarantine")

PARAMETERS: tuple[Parameter, ...] = (
    text("posthouse_scan_amavisd_conf", "", "An amavisd.conf whose simple assignments say how mail is scanned."),
    words(
        "posthouse_scan_spamd", "inet:127.0.0.1:783", "Where SpamAssassin's spamd answers; several in turn, empty none."
    ),
    words(
        "posthouse_scan_clamd",
        "unix:/run/clamav/clamd.ctl",
        "Where ClamAV's clamd answers; several in turn, empty none.",
    ),
    text("posthouse_scan_forward", "[127.0.0.1]:10025", "The next hop that scanned mail goes on to."),
    text("posthouse_scan_transport", "smtp", "The service of master.cf that takes scanned mail there."),
    time("posthouse_scan_timeout", "120s", "How long spamd or clamd may take for one message."),
    choice("posthouse_scan_spamd_down", "pass", "What happens to mail while no spamd answers.", _WHEN_DOWN),
    choice("posthouse_scan_clamd_down", "defer", "What happens to mail while no clamd answers.", _WHEN_DOWN),
    integer("posthouse_scan_spam_size_limit", "524288", "Larger mail (bytes) is not shown to spamd."),
    integer("posthouse_scan_virus_size_limit", "26214400", "Larger mail (bytes) is not shown to clamd."),
)
