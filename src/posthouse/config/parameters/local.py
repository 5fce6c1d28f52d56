"""Parameters: local."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, maps, size, template, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    maps("alias_database", "hash:/etc/aliases", ""),
    maps("alias_maps", "hash:/etc/aliases, nis:mail.aliases", ""),
    words("allow_mail_to_commands", "alias, forward", ""),
    words("allow_mail_to_files", "alias, forward", ""),
    flag("biff", "yes", ""),
    words(
        "command_expansion_filter", "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "", 1
    ),
    time("command_time_limit", "1000s", "", 1),
    text("default_privs", "nobody", "", 1),
    integer("deliver_lock_attempts", "20", "", 1),
    time("deliver_lock_delay", "1s", "", 1),
    text(
        "execution_directory_expansion_filter",
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "",
        1,
    ),
    flag("expand_owner_alias", "no", ""),
    words("export_environment", "TZ MAIL_CONFIG LANG", ""),
    text("fallback_transport", "", ""),
    maps("fallback_transport_maps", "", ""),
    text(
        "forward_expansion_filter", "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "", 1
    ),
    flag("frozen_delivered_to", "yes", ""),
    text("home_mailbox", "", ""),
    text("local_command_shell", "", ""),
    text("local_delivery_status_filter", "$default_delivery_status_filter", ""),
    integer("local_destination_concurrency_limit", "2", ""),
    integer("local_destination_recipient_limit", "1", ""),
    template("luser_relay", "", ""),
    template("mailbox_command", "", ""),
    maps("mailbox_command_maps", "", ""),
    words("mailbox_delivery_lock", "fcntl, dotlock", "", 1),
    size("mailbox_size_limit", "51200000", ""),
    text("mailbox_transport", "", ""),
    maps("mailbox_transport_maps", "", ""),
    flag("owner_request_special", "yes", ""),
    text("prepend_delivered_header", "command, file, forward", ""),
    text("recipient_delimiter", "", ""),
    flag("reset_owner_alias", "no", ""),
    time("stale_lock_time", "500s", "", 1),
    flag("sun_mailtool_compatibility", "no", ""),
)
