"""Completes and maps the addresses in header fields; only what changed is printed anew (cleanup(8))."""

from __future__ import annotations

import re

from posthouse.cleanup.canonical import map_to_canonical
from posthouse.cleanup.masquerade import masquerade
from posthouse.cleanup.work import Work
from posthouse.mail.address import quote_address
from posthouse.mail.address_list import parse_addresses, print_field
from posthouse.mail.headers import Role

# No possessive quantifiers: in Python 3.11 they match what they should not. Each part begins with another character
# than the one before it can hold, so that a long field that does not match costs no more than its length.
_ATOM = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = _ATOM + rb"(?:\." + _ATOM + rb")*@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+"
_PHRASE = rb"""(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-][A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*|"[^"\\\n]*"[ ]?)?"""
_MAILBOX = rb"(?:" + _ADDRESS + rb"|" + _PHRASE + rb"<" + _ADDRESS + rb">)"
_COMPLETE = re.compile(rb"\s*" + _MAILBOX + rb"(?:,\s*" + _MAILBOX + rb")*\s*\Z")


def needs_nothing(work: Work, field: bytes) -> bool:
    """Whether all addresses of a field are complete already and no table changes them: nearly all mail."""
    return not work.rules.maps_header_addresses and _COMPLETE.match(field, field.index(b":") + 1) is not None


async def rewrite_field(work: Work, field: bytes, role: Role) -> bytes:
    """The field with its addresses rewritten."""
    if needs_nothing(work, field):
        return field
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
