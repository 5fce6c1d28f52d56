"""Greylisting in the house (check_greylist, and the service "greylist" of master.cf); not part of Postfix."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    choice(
        "posthouse_greylist_rules",
        "kind",
        "Whose rules greylisting follows: kind ones, or those of postgrey.",
        ("kind", "postgrey"),
    ),
    text(
        "posthouse_greylist_database",
        "$data_directory/greylist.db",
        "Where greylisting remembers: a file, or redis://host/number for several machines.",
        1,
    ),
    time("posthouse_greylist_delay", "300s", "How long mail from a stranger waits."),
    time(
        "posthouse_greylist_longest_delay",
        "1h",
        "After this time a sender's mail to a recipient is let in, from whatever address it comes (kind rules).",
    ),
    time("posthouse_greylist_retry_window", "2d", "How soon mail must come again to count as the same attempt."),
    time("posthouse_greylist_max_age", "35d", "What has not been seen for so long is forgotten."),
    integer(
        "posthouse_greylist_trusted_after",
        "5",
        "So often a client's mail must have come again (once an hour counts) until it need not wait; 0 is never.",
    ),
    integer(
        "posthouse_greylist_trusted_domain_after",
        "2",
        "The same for a domain whose SPF record names the client (kind rules).",
    ),
    integer("posthouse_greylist_ipv4_bits", "24", "How many bits of an IPv4 address count.", 0, 32),
    integer("posthouse_greylist_ipv6_bits", "64", "How many bits of an IPv6 address count.", 0, 128),
    flag(
        "posthouse_greylist_knows_correspondents",
        "yes",
        "Whom an inside or logged-in client has written to need not wait when writing back (kind rules).",
    ),
    words(
        "posthouse_greylist_whitelist_clients",
        "",
        "Files of clients that never wait, in postgrey's format; empty is the list that comes with Posthouse.",
    ),
    words(
        "posthouse_greylist_whitelist_recipients",
        "",
        "Files of recipients whose mail never waits, in postgrey's format; empty is the list that comes with Posthouse.",
    ),
    text(
        "posthouse_greylist_text",
        "Greylisted, please try again in %s seconds",
        "What a greylisted sender is told: %s seconds, %r recipient domain.",
        1,
    ),
    text(
        "posthouse_greylist_header",
        "X-Greylist: delayed %t seconds by posthouse at %h; %d",
        "Header field of mail that has waited; empty is none.",
    ),
)
