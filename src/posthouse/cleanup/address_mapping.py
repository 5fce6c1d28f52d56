"""Asks canonical and alias tables for an address and makes addresses of the answer (canonical(5), virtual(5))."""

from __future__ import annotations

from posthouse.cleanup.work import Work
from posthouse.lookup.address_keys import find_address, with_extension
from posthouse.lookup.maps import Maps
from posthouse.mail.address_list import parse_addresses


async def map_address(work: Work, maps: Maps, address: str, *, propagate: bool) -> list[str]:
    """The complete addresses (internal form) that tables have for an address; [] where they have none.

    "@other.domain" as an answer replaces only the domain. Raises LookupFailed.
    """
    rules = work.rules
    domain = address.rpartition("@")[2]
    is_local = await rules.is_local(domain)
    found = await find_address(maps, address, delimiters=rules.delimiters, is_local=lambda _: is_local)
    if found is None:
        return []
    text = found.value
    if text.startswith("@"):
        local = address.rpartition("@")[0] or address
        local = local.removesuffix(found.extension) if found.extension else local
        text = local + text
        return [await _complete(work, text, found.extension if propagate else "")]
    results: list[str] = []
    for entry in parse_addresses(text):
        if entry.address is not None and entry.address.external:
            internal = entry.address.internal
            results.append(await _complete(work, internal, found.extension if propagate else ""))
    return results


async def _complete(work: Work, address: str, extension: str) -> str:
    return with_extension(await work.rewriter.rewrite("local", address), extension)
