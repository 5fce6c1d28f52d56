"""What Posthouse has beyond Postfix 3.7; docs/differences_from_postfix.md lists each."""

from __future__ import annotations

from posthouse.config.types import Parameter, choice, flag, integer, text, words

PARAMETERS: tuple[Parameter, ...] = (
    flag(
        "smtpd_hide_client_session", "no", "Leave the client out of Received: headers, as later Postfix releases can."
    ),
    integer("posthouse_workers", "0", "How many processes share the mail; 0 is one less than the machine has cores."),
    text(
        "posthouse_upstream_proxy_networks",
        "",
        "Hosts and networks that may name clients by the PROXY protocol; empty: whoever reaches the port.",
    ),
    words(
        "posthouse_header_sender_login_fields",
        "From, Sender, Resent-From, Resent-Sender",
        "Header fields whose addresses reject_header_sender_login_mismatch and its like ask about.",
        1,
    ),
    integer(
        "posthouse_sasl_login_message_rate_limit",
        "0",
        "How many messages a login may send in anvil_rate_time_unit, from wherever it comes; 0 is without limit.",
    ),
    integer(
        "posthouse_sasl_login_recipient_rate_limit",
        "0",
        "To how many recipients a login may send in anvil_rate_time_unit; 0 is without limit.",
    ),
    choice(
        "posthouse_sasl_login_rate_action",
        "hold",
        "What becomes of mail over these limits: it is taken and put on hold, or refused for now (defer).",
        ("hold", "defer"),
        1,
    ),
    words("posthouse_sasl_login_rate_exceptions", "", "Logins for which these limits do not count."),
    text("posthouse_open_relay", "", "Set to strangers_may_send_through_this_host, it lets an open relay start."),
)
