"""What Posthouse has beyond Postfix 3.7; docs/differences_from_postfix.md lists each."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, text

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
    text("posthouse_open_relay", "", "Set to strangers_may_send_through_this_host, it lets an open relay start."),
)
