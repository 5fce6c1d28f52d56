"""What main.cf says about one smtp or lmtp service, read once (postconf(5): smtp_*, lmtp_*)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from posthouse.config.settings import Settings
from posthouse.deliver.smtp.handshake import HelloRules
from posthouse.deliver.smtp.transaction import EnvelopeRules, Limits
from posthouse.lookup.maps import open_maps

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class ClientRules:
    """Times in seconds. session_limit 0: no limit. bind is the source address by IP version ("" any).

    clear_after: mail that has waited so long goes without TLS where TLS is only welcome.
    """

    hello: HelloRules
    limits: Limits
    envelope: EnvelopeRules
    fallback: str
    connect_limit: float
    session_limit: int
    line_limit: int
    converts: bool
    xforward: bool
    bind: dict[int, str]
    keeps_on_demand: bool
    keeps_always: Collection[str]
    tls_from_the_start: bool
    clear_after: float


def client_rules(settings: Settings, prefix: str) -> ClientRules:
    """The rules of a service; prefix is "smtp" or "lmtp"."""
    seconds, flag, text = settings.seconds, settings.flag, settings.text
    lmtp = prefix == "lmtp"
    names = ("xforward", "mail", "rcpt", "data_init", "data_xfer", "data_done", "rset")
    return ClientRules(
        hello=_hello_rules(settings, prefix),
        limits=Limits(*(float(seconds(f"{prefix}_{name}_timeout")) for name in names)),
        envelope=EnvelopeRules(
            lmtp=lmtp,
            quotes=flag(f"{prefix}_quote_rfc821_envelope"),
            dummy_auth=flag(f"{prefix}_send_dummy_mail_auth"),
            probes_with_data=text(f"{prefix}_address_verify_target").lower() == "data",
        ),
        fallback=text(f"{prefix}_fallback_relay"),
        connect_limit=seconds(f"{prefix}_connect_timeout"),
        session_limit=settings.integer(f"{prefix}_mx_session_limit"),
        line_limit=settings.integer(f"{prefix}_line_length_limit"),
        converts=not flag("disable_mime_output_conversion"),
        xforward=flag(f"{prefix}_send_xforward_command"),
        bind={4: text(f"{prefix}_bind_address"), 6: text(f"{prefix}_bind_address6")},
        keeps_on_demand=flag(f"{prefix}_connection_cache_on_demand"),
        keeps_always=settings.items(f"{prefix}_connection_cache_destinations"),
        tls_from_the_start=flag(f"{prefix}_tls_wrappermode"),
        clear_after=seconds("minimal_backoff_time"),
    )


def _hello_rules(settings: Settings, prefix: str) -> HelloRules:
    lmtp = prefix == "lmtp"
    hello_limit = settings.seconds("lmtp_lhlo_timeout" if lmtp else "smtp_helo_timeout")
    keywords = "lmtp_discard_lhlo_keyword" if lmtp else "smtp_discard_ehlo_keyword"
    return HelloRules(
        name=settings.text("lmtp_lhlo_name" if lmtp else "smtp_helo_name"),
        lmtp=lmtp,
        greeting_limit=hello_limit,
        hello_limit=hello_limit,
        discard=frozenset(word.lower() for word in settings.items(f"{keywords}s")),
        discard_maps=open_maps(settings, f"{keywords}_address_maps"),
        never_ehlo=not lmtp and settings.flag("smtp_never_send_ehlo"),
        always_ehlo=not lmtp and settings.flag("smtp_always_send_ehlo"),
        skip_4xx=True,
        skip_5xx=settings.flag(f"{prefix}_skip_5xx_greeting"),
        own_name=settings.text("myhostname"),
        detect_loop=not lmtp,
    )
