"""Virtual aliases and mailboxes (virtual(8), virtual(5))."""

from __future__ import annotations

from posthouse.config.types import Parameter, integer, maps, size, text, words

PARAMETERS: tuple[Parameter, ...] = (
    integer("virtual_alias_address_length_limit", "1000", "How long an address may grow by virtual aliases.", 1),
    words("virtual_alias_domains", "$virtual_alias_maps", "Domains whose addresses are all aliases."),
    integer(
        "virtual_alias_expansion_limit", "1000", "How many addresses one recipient may become by virtual aliases.", 1
    ),
    maps("virtual_alias_maps", "$virtual_maps", "Tables of aliases for any address."),
    integer("virtual_alias_recursion_limit", "1000", "How deep virtual aliases may refer to each other.", 1),
    text(
        "virtual_delivery_status_filter",
        "$default_delivery_status_filter",
        "A table that changes the outcome of deliveries to virtual mailboxes.",
    ),
    maps("virtual_gid_maps", "", "The group that owns a virtual mailbox."),
    text("virtual_mailbox_base", "", "The directory before every path of virtual_mailbox_maps."),
    words("virtual_mailbox_domains", "$virtual_mailbox_maps", "Domains whose addresses are all virtual mailboxes."),
    size("virtual_mailbox_limit", "51200000", "The size to which a virtual mailbox file may grow."),
    words("virtual_mailbox_lock", "fcntl, dotlock", "How a virtual mailbox file is locked.", 1),
    maps("virtual_mailbox_maps", "", "The mailbox of each address; a final / makes it a Maildir."),
    integer("virtual_minimum_uid", "100", "The lowest user id that may own a virtual mailbox.", 1),
    text("virtual_transport", "virtual", "The transport for virtual_mailbox_domains.", 1),
    maps("virtual_uid_maps", "", "The user that owns a virtual mailbox."),
)
