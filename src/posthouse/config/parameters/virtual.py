"""Parameters: virtual."""

from __future__ import annotations

from posthouse.config.types import Parameter, integer, maps, size, text, words

PARAMETERS: tuple[Parameter, ...] = (
    integer("virtual_alias_address_length_limit", "1000", "", 1),
    words("virtual_alias_domains", "$virtual_alias_maps", ""),
    integer("virtual_alias_expansion_limit", "1000", "", 1),
    maps("virtual_alias_maps", "$virtual_maps", ""),
    integer("virtual_alias_recursion_limit", "1000", "", 1),
    text("virtual_delivery_status_filter", "$default_delivery_status_filter", ""),
    maps("virtual_gid_maps", "", ""),
    text("virtual_mailbox_base", "", "", 1),
    words("virtual_mailbox_domains", "$virtual_mailbox_maps", ""),
    size("virtual_mailbox_limit", "51200000", ""),
    words("virtual_mailbox_lock", "fcntl, dotlock", "", 1),
    maps("virtual_mailbox_maps", "", ""),
    integer("virtual_minimum_uid", "100", "", 1),
    text("virtual_transport", "virtual", "", 1),
    maps("virtual_uid_maps", "", ""),
)
