"""The parameters of local(8), read once per service."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Locking:
    """How mbox files are locked; times in seconds."""

    kinds: tuple[str, ...]
    attempts: int
    delay: float
    stale: float


@dataclass(frozen=True, slots=True)
class LocalRules:
    """Parameters under their own names where they are not obvious; limits in bytes, times in seconds."""

    hostname: str
    mail_name: str
    delimiters: str
    commands_from: frozenset[str]
    files_from: frozenset[str]
    delivered_header: frozenset[str]
    frozen_delivered_to: bool
    keeps_original: bool
    owner_special: bool
    expand_owner: bool
    reset_owner: bool
    propagates_to_alias: bool
    propagates_to_forward: bool
    propagates_to_include: bool
    default_user: str
    duplicate_limit: int
    size_limit: int
    must_own: bool
    line_limit: int
    time_limit: float
    shell: str
    queue_directory: str
    home_mailbox: str
    spool: str
    locking: Locking


def read_rules(settings: Settings, transport: str) -> LocalRules:
    """From a service's settings; transport is its name. Raises ConfigError for a value of the wrong kind."""
    propagated = {word.lower() for word in settings.items("propagate_unmatched_extensions")}
    limit = f"{transport}_time_limit"
    return LocalRules(
        hostname=settings.text("myhostname"),
        mail_name=settings.text("mail_name"),
        delimiters=settings.text("recipient_delimiter"),
        commands_from=_words(settings, "allow_mail_to_commands"),
        files_from=_words(settings, "allow_mail_to_files"),
        delivered_header=_words(settings, "prepend_delivered_header"),
        frozen_delivered_to=settings.flag("frozen_delivered_to"),
        keeps_original=settings.flag("enable_original_recipient"),
        owner_special=settings.flag("owner_request_special"),
        expand_owner=settings.flag("expand_owner_alias"),
        reset_owner=settings.flag("reset_owner_alias"),
        propagates_to_alias="alias" in propagated,
        propagates_to_forward="forward" in propagated,
        propagates_to_include="include" in propagated,
        default_user=settings.text("default_privs"),
        duplicate_limit=settings.integer("duplicate_filter_limit"),
        size_limit=settings.integer("mailbox_size_limit"),
        must_own=settings.flag("strict_mailbox_ownership"),
        line_limit=settings.integer("line_length_limit"),
        time_limit=float(settings.seconds(limit if settings.is_set(limit) else "command_time_limit")),
        shell=settings.text("local_command_shell"),
        queue_directory=settings.text("queue_directory"),
        home_mailbox=settings.text("home_mailbox"),
        spool=settings.text("mail_spool_directory"),
        locking=Locking(
            settings.items("mailbox_delivery_lock"),
            settings.integer("deliver_lock_attempts"),
            float(settings.seconds("deliver_lock_delay")),
            float(settings.seconds("stale_lock_time")),
        ),
    )


def _words(settings: Settings, name: str) -> frozenset[str]:
    return frozenset(word.lower() for word in settings.items(name))
