"""Canonical mapping of envelope and header addresses: sender_, recipient_ and canonical_maps (canonical(5))."""

from __future__ import annotations

from posthouse.cleanup.address_mapping import map_address
from posthouse.cleanup.rules import CanonicalRule
from posthouse.cleanup.work import Work
from posthouse.errors import LookupFailed
from posthouse.maillog import cleanup as maillog

_RECURSION_LIMIT = 10


async def map_to_canonical(work: Work, address: str, place: str) -> str:
    """The address after the maps for its place ("envelope_sender", "header_recipient" ...), the specific ones first."""
    rules = work.rules
    specific = rules.sender_canonical if place.endswith("sender") else rules.recipient_canonical
    for rule in (specific, rules.canonical):
        if address and rule.applies_to(place):
            address = await _map_repeatedly(work, rule, address)
    return address


async def _map_repeatedly(work: Work, rule: CanonicalRule, address: str) -> str:
    """Until nothing is found, or an address maps to itself."""
    propagate = "canonical" in work.rules.propagated
    for _ in range(_RECURSION_LIMIT):
        try:
            results = await map_address(work, rule.maps, address, propagate=propagate)
        except LookupFailed:
            raise work.lookup_problem(rule.name, f" for {address}") from None
        if not results:
            return address
        if len(results) > 1:
            work.log.warning(f"{work.queue_id}: multi-valued {rule.name} entry for {address}")
        if results[0].lower() == address.lower():
            return results[0]
        address = results[0]
    work.log.warning(maillog.not_accepted(work.queue_id, f"unreasonable {rule.name} map nesting for {address}"))
    return address  # Postfix takes the message nevertheless
