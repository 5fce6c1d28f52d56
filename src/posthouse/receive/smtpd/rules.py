"""What main.cf says about one smtpd service, read once (postconf(5), smtpd_*)."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.protocols.smtp_data import BareNewline
from posthouse.services.intake import Skip

_SKIPS = {
    "no_unknown_recipient_checks": Skip.UNKNOWN_RECIPIENT_CHECKS,
    "no_address_mappings": Skip.ADDRESS_MAPPINGS,
    "no_header_body_checks": Skip.HEADER_BODY_CHECKS,
    "no_milters": Skip.MILTERS,
}
_BARE = {
    "no": BareNewline.ALLOW,
    "yes": BareNewline.NORMALIZE,
    "normalize": BareNewline.NORMALIZE,
    "note": BareNewline.NOTE,
    "reject": BareNewline.REJECT,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that change under stress; times in seconds."""

    timeout: int
    hard_errors: int
    junk_commands: int


@dataclass(frozen=True, slots=True)
class Rules:
    """One service's view of the configuration; sizes in bytes, times in seconds."""

    service_name: str
    banner: str
    myhostname: str
    mail_name: str
    queue_directory: str
    limits: Limits
    limits_under_stress: Limits
    soft_errors: int
    error_sleep: int
    helo_required: bool
    strict_envelopes: bool
    disable_vrfy: bool
    line_limit: int
    size_limit: int
    queue_minfree: int
    recipients: int
    recipients_overshoot: int
    discard_ehlo: frozenset[str]
    noop_commands: frozenset[str]
    bare_newline: BareNewline
    bare_newline_code: int
    forbid_pipelining: bool
    soft_bounce: bool
    allow_min_user: bool
    log_port: bool
    logged_permits: frozenset[str]
    reject_footer: str
    smtputf8: bool
    delay_reject: bool
    delay_open: bool
    peername_lookup: bool
    hide_session: bool
    authenticated_header: bool
    cleanup_service: str
    content_filter: str
    skip: Skip
    connections: int
    connection_rate: int
    message_rate: int
    recipient_rate: int
    new_tls_rate: int
    auth_rate: int
    verp_delimiters: str
    verp_characters: str
    ipv6: bool
    stress: str


def _value(settings: Settings, name: str, default: str) -> str:
    """A parameter newer than Postfix 3.7, with its default where this configuration does not know it."""
    return settings.text(name) if settings.knows(name) else default


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.seconds("smtpd_timeout"),
        settings.integer("smtpd_hard_error_limit"),
        settings.integer("smtpd_junk_command_limit"),
    )


def _skip(settings: Settings) -> Skip:
    skip = Skip.NOTHING
    for word in settings.items("receive_override_options"):
        skip |= _SKIPS.get(word, Skip.NOTHING)
    return skip


def read_rules(settings: Settings, service_name: str) -> Rules:
    """All of it. Raises ConfigError for values that are no good."""
    return Rules(
        service_name=service_name,
        banner=settings.text("smtpd_banner"),
        myhostname=settings.text("myhostname"),
        mail_name=settings.text("mail_name"),
        queue_directory=settings.text("queue_directory"),
        limits=_limits(settings),
        limits_under_stress=_limits(settings.with_overrides({"stress": "yes"}, settings.service)),
        soft_errors=settings.integer("smtpd_soft_error_limit"),
        error_sleep=settings.seconds("smtpd_error_sleep_time"),
        helo_required=settings.flag("smtpd_helo_required"),
        strict_envelopes=settings.flag("strict_rfc821_envelopes"),
        disable_vrfy=settings.flag("disable_vrfy_command"),
        line_limit=settings.integer("line_length_limit"),
        size_limit=settings.integer("message_size_limit"),
        queue_minfree=settings.integer("queue_minfree"),
        recipients=settings.integer("smtpd_recipient_limit"),
        recipients_overshoot=settings.integer("smtpd_recipient_overshoot_limit"),
        discard_ehlo=frozenset(word.lower() for word in settings.items("smtpd_discard_ehlo_keywords")),
        noop_commands=frozenset(word.upper() for word in settings.items("smtpd_noop_commands")),
        bare_newline=_BARE.get(_value(settings, "smtpd_forbid_bare_newline", "normalize"), BareNewline.NORMALIZE),
        bare_newline_code=int(_value(settings, "smtpd_forbid_bare_newline_reject_code", "550")),
        allow_min_user=settings.flag("allow_min_user"),
        soft_bounce=settings.flag("soft_bounce"),
        forbid_pipelining=_value(settings, "smtpd_forbid_unauth_pipelining", "yes") == "yes",
        log_port=settings.flag("smtpd_client_port_logging"),
        logged_permits=frozenset(settings.items("smtpd_log_access_permit_actions")),
        reject_footer=settings.raw("smtpd_reject_footer"),
        smtputf8=settings.flag("smtputf8_enable"),
        delay_reject=settings.flag("smtpd_delay_reject"),
        delay_open=settings.flag("smtpd_delay_open_until_valid_rcpt"),
        peername_lookup=settings.flag("smtpd_peername_lookup"),
        hide_session=settings.flag("smtpd_hide_client_session"),
        authenticated_header=settings.flag("smtpd_sasl_authenticated_header"),
        cleanup_service=settings.text("cleanup_service_name"),
        content_filter=settings.text("content_filter"),
        skip=_skip(settings),
        connections=settings.integer("smtpd_client_connection_count_limit"),
        connection_rate=settings.integer("smtpd_client_connection_rate_limit"),
        message_rate=settings.integer("smtpd_client_message_rate_limit"),
        recipient_rate=settings.integer("smtpd_client_recipient_rate_limit"),
        new_tls_rate=settings.integer("smtpd_client_new_tls_session_rate_limit"),
        auth_rate=settings.integer("smtpd_client_auth_rate_limit"),
        verp_delimiters=settings.text("default_verp_delimiters"),
        verp_characters=settings.text("verp_delimiter_filter"),
        ipv6=not {"all", "ipv6"}.isdisjoint(settings.items("inet_protocols")),
        stress=settings.text("stress") if settings.knows("stress") else "",
    )
