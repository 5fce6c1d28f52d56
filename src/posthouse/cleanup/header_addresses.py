"""Completes and maps the addresses in header fields; a field is printed anew only when an address changed (cleanup(8))."""

from __future__ import annotations

from posthouse.cleanup.canonical import map_to_canonical
from posthouse.cleanup.masquerade import masquerade
from posthouse.cleanup.work import Work
from posthouse.mail.address import quote_address
from posthouse.mail.address_list import parse_addresses, print_field
from posthouse.mail.headers import Role


async def rewrite_field(work: Work, field: bytes, role: Role) -> bytes:
    """The field with its addresses rewritten."""
    name, _, value = field.decode("utf-8", "surrogateescape").partition(":")
    entries = parse_addresses(value, work.rules.token_limit)
    place = "header_sender" if role & Role.SENDER else "header_recipient"
    changed = False
    for entry in entries:
        if entry.address is None or not (entry.address.external or not entry.angle):
            continue
        external = entry.address.external
        printed = quote_address(await _rewrite(work, entry.address.internal, place)) or '""'
        if printed != external:
            entry.address.external = printed
            changed = True
    return print_field(name, entries).encode("utf-8", "surrogateescape") if changed else field


async def _rewrite(work: Work, address: str, place: str) -> str:
    address = await work.rewriter.rewrite(work.context, address)
    if work.maps_addresses:
        address = await map_to_canonical(work, address, place)
        address = masquerade(work, address, place)
    return address
