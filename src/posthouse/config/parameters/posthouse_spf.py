"""SPF in the house (reject_spf_fail and the like, and the service "spf" of master.cf); not part of Postfix."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, integer, text, time

PARAMETERS: tuple[Parameter, ...] = (
    choice(
        "posthouse_spf_header",
        "SPF",
        "The header field with SPF's result: Received-SPF, Authentication-Results (AR) or none.",
        ("SPF", "AR", "none"),
    ),
    text("posthouse_spf_configuration", "", 'A policyd-spf.conf for the service "spf"; empty is its defaults.'),
    time("posthouse_spf_timeout", "20s", "How long SPF may take for one sender.", 1),
    integer("posthouse_spf_void_lookup_limit", "2", "How many names without records an SPF record may ask for.", 0),
    text("posthouse_spf_reject_text", "SPF: {explanation}", "What a sender is told that SPF refuses.", 1),
)
