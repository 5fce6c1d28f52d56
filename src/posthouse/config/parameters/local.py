"""Delivery to system users, aliases and .forward files (local(8))."""

from __future__ import annotations

from posthouse.config.types import Parameter, flag, integer, maps, size, template, text, time, words

PARAMETERS: tuple[Parameter, ...] = (
    maps("alias_database", "hash:/etc/aliases", "The alias tables that newaliases rebuilds."),
    maps("alias_maps", "hash:/etc/aliases, nis:mail.aliases", "The tables of local aliases."),
    words(
        "allow_mail_to_commands",
        "alias, forward",
        'Where "|command" may stand as a destination: aliases, .forward, :include: files.',
    ),
    words(
        "allow_mail_to_files",
        "alias, forward",
        'Where "/file" may stand as a destination: aliases, .forward, :include: files.',
    ),
    flag("biff", "yes", "Tell logged-in users about new mail over the comsat service."),
    words(
        "command_expansion_filter",
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "Characters of the mail's attributes that are let through to mailbox_command.",
        1,
    ),
    time("command_time_limit", "1000s", "How long a command that takes a message may run.", 1),
    text(
        "default_privs",
        "nobody",
        "Whose rights commands and files of aliases get where no other user is responsible.",
        1,
    ),
    integer("deliver_lock_attempts", "20", "How often to try for the lock on a mailbox.", 1),
    time("deliver_lock_delay", "1s", "The pause between two tries for the lock on a mailbox.", 1),
    text(
        "execution_directory_expansion_filter",
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "Characters that are let through to command_execution_directory.",
        1,
    ),
    flag("expand_owner_alias", "no", "Use what owner-list stands for as the sender, not owner-list itself."),
    words(
        "export_environment",
        "TZ MAIL_CONFIG LANG",
        "Environment variables that commands outside the mail system get to see.",
    ),
    text("fallback_transport", "", "The transport for local recipients that no alias and no system user answers to."),
    maps("fallback_transport_maps", "", "fallback_transport for single recipients."),
    text(
        "forward_expansion_filter",
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "Characters of the mail's attributes that are let through to forward_path.",
        1,
    ),
    flag(
        "frozen_delivered_to", "yes", "Keep the Delivered-To: address fixed while aliases are expanded, against loops."
    ),
    text("home_mailbox", "", "The mailbox within a user's home; a final / makes it a Maildir."),
    text("local_command_shell", "", "The shell for commands in aliases and .forward files."),
    text(
        "local_delivery_status_filter",
        "$default_delivery_status_filter",
        "A table that changes the outcome of local deliveries.",
    ),
    integer(
        "local_destination_concurrency_limit", "2", "How many deliveries to one local recipient may run at a time."
    ),
    integer("local_destination_recipient_limit", "1", "How many recipients one local delivery may have."),
    template("luser_relay", "", "The address for mail to unknown local recipients."),
    template("mailbox_command", "", "The command that delivers to the mailboxes of system users."),
    maps("mailbox_command_maps", "", "mailbox_command for single recipients."),
    words("mailbox_delivery_lock", "fcntl, dotlock", "How a local mailbox is locked.", 1),
    size("mailbox_size_limit", "51200000", "The size to which a local mailbox file may grow."),
    text("mailbox_transport", "", "The transport that delivers to system users after aliases and .forward."),
    maps("mailbox_transport_maps", "", "mailbox_transport for single recipients."),
    flag("owner_request_special", "yes", "Treat owner-list and list-request as belonging to a list."),
    text(
        "prepend_delivered_header", "command, file, forward", "The kinds of delivery that get a Delivered-To: header."
    ),
    text("recipient_delimiter", "", "The characters that separate a user from an extension (user+extension)."),
    flag("reset_owner_alias", "no", "Forget an owner- alias when an alias without one is expanded."),
    time("stale_lock_time", "500s", "When a mailbox lock file counts as left behind.", 1),
    flag("strict_mailbox_ownership", "yes", "Deliver only to mailbox files that belong to the recipient."),
    flag("sun_mailtool_compatibility", "no", "Lock mailboxes as an old mail reader did; no effect."),
)
