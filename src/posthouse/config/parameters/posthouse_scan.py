"""The scanner that takes amavisd's place (a service of master.cf that runs scan)."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, template, text, time, words

_WHEN_DOWN = ("defer", "pass", "quarantine")
_DESTINIES = ("pass", "discard", "reject", "bounce")

PARAMETERS: tuple[Parameter, ...] = (
    text("posthouse_scan_admin", "", "Who is told of viruses, banned contents and spam (not where empty)."),
    words(
        "posthouse_scan_amavisd_conf",
        "",
        "Files of amavisd's, or directories of them, whose assignments say how mail is scanned.",
    ),
    flag("posthouse_scan_archives", "yes", "Look for banned names inside zip, tar and compressed files, too."),
    choice("posthouse_scan_bad_header_destiny", "pass", "What becomes of mail with a bad header.", _DESTINIES),
    choice("posthouse_scan_banned_destiny", "discard", "What becomes of mail with banned contents.", _DESTINIES),
    words(
        "posthouse_scan_banned_names",
        "",
        "Endings of names (.exe) and types (application/hta) of parts that mail must not contain.",
    ),
    words(
        "posthouse_scan_clamd",
        "unix:/run/clamav/clamd.ctl",
        "Where ClamAV's clamd answers; several in turn, empty none.",
    ),
    choice("posthouse_scan_clamd_down", "defer", "What happens to mail while no clamd answers.", _WHEN_DOWN),
    text("posthouse_scan_dsn_cutoff_level", "10", "The score from which spam is thrown away instead of bounced."),
    integer("posthouse_scan_expanded_limit", "314572800", "So many bytes archives may hold that are looked into.", 1),
    integer("posthouse_scan_failures_limit", "3", "After so many failures in a row a spamd or clamd is let rest.", 1),
    integer(
        "posthouse_scan_files_limit", "1500", "So many parts and members of archives are looked at in a message.", 1
    ),
    text("posthouse_scan_forward", "[127.0.0.1]:10025", "The next hop that scanned mail goes on to."),
    text("posthouse_scan_kill_level", "6.9", "The score from which mail is spam (posthouse_scan_spam_destiny)."),
    integer("posthouse_scan_levels_limit", "14", "So deep parts and archives may lie within each other.", 2),
    choice(
        "posthouse_scan_protocol",
        "smtp",
        "How a scan service is spoken to: as a mail server (smtp, lmtp, smtpd_proxy_filter) or as a milter.",
        ("smtp", "milter"),
    ),
    text(
        "posthouse_scan_quarantine",
        "",
        "Where mail is kept that was stopped: a Maildir of mail_owner's, or an address.",
    ),
    time("posthouse_scan_rest_time", "30s", "How long a spamd or clamd that failed is left alone before it is tried."),
    choice("posthouse_scan_spam_destiny", "pass", "What becomes of spam, from the kill level on.", _DESTINIES),
    integer("posthouse_scan_spam_size_limit", "524288", "Of larger mail spamd sees only so many bytes (0: all)."),
    words(
        "posthouse_scan_spamd", "inet:127.0.0.1:783", "Where SpamAssassin's spamd answers; several in turn, empty none."
    ),
    choice("posthouse_scan_spamd_down", "pass", "What happens to mail while no spamd answers.", _WHEN_DOWN),
    template(
        "posthouse_scan_spamd_user",
        "",
        "Whose preferences spamd applies: a name, or made of $recipient, $user and $domain (empty: spamd's own).",
    ),
    text("posthouse_scan_subject_tag", "", "What goes before the subject of spam that passes."),
    text("posthouse_scan_tag2_level", "6.2", "The score from which mail is marked as spam."),
    text("posthouse_scan_tag_level", "2.0", "The score from which mail gets X-Spam fields."),
    time("posthouse_scan_timeout", "120s", "How long spamd or clamd may take for one message."),
    text("posthouse_scan_transport", "smtp", "The service of master.cf that takes scanned mail there."),
    choice("posthouse_scan_unchecked_destiny", "pass", "What becomes of mail that cannot be looked into.", _DESTINIES),
    choice("posthouse_scan_virus_destiny", "discard", "What becomes of mail with a virus.", _DESTINIES),
    integer("posthouse_scan_virus_size_limit", "26214400", "Larger mail (bytes) is not shown to clamd (0: all is)."),
)
