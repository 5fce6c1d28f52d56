"""Parameters: local."""

from __future__ import annotations

from posthouse.config.types import Parameter, maps, size, template, text, words

PARAMETERS: tuple[Parameter, ...] = (
    maps("alias_database", "hash:/etc/aliases", ""),
    maps("alias_maps", "hash:/etc/aliases, nis:mail.aliases", ""),
    template("mailbox_command", "", ""),
    maps("mailbox_command_maps", "", ""),
    words("mailbox_delivery_lock", "fcntl, dotlock", "", 1),
    size("mailbox_size_limit", "51200000", ""),
    text("mailbox_transport", "", ""),
    maps("mailbox_transport_maps", "", ""),
)
