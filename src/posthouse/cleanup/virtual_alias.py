"""Virtual alias expansion of recipients: one to many, nested, a domain to a domain (virtual(5))."""

from __future__ import annotations

from posthouse.cleanup.address_mapping import map_address
from posthouse.cleanup.work import Work
from posthouse.errors import LookupFailed, PermanentFailure, TemporaryFailure
from posthouse.maillog import cleanup as maillog

_NAME = "virtual_alias_maps"


async def expand_aliases(work: Work, address: str) -> list[str]:
    """What the address stands for in the end; [address] where it is no alias. An address may expand to itself once."""
    rules = work.rules
    if rules.virtual_alias.empty or not work.maps_addresses or not address:
        return [address]
    expanded = [address]
    finished: set[str] = set()
    position = 0
    while position < len(expanded):
        if len(expanded) > rules.alias_expansion_limit:
            raise _unreasonable(work, f"map expansion size for {address}")
        for count in range(rules.alias_recursion_limit + 1):
            current = expanded[position]
            if current.lower() in finished:
                break
            if count >= rules.alias_recursion_limit:
                raise _unreasonable(work, f"map nesting for {address}")
            results = await _look_up(work, current, address)
            if not results:
                break
            if any(result.lower() == current.lower() for result in results):
                finished.add(current.lower())
            expanded[position] = results[0]
            expanded.extend(results[1:])
        position += 1
    return expanded


async def _look_up(work: Work, current: str, address: str) -> list[str]:
    rules = work.rules
    try:
        results = await map_address(work, rules.virtual_alias, current, propagate="virtual" in rules.propagated)
    except LookupFailed:
        work.log.warning(maillog.not_accepted(work.queue_id, f"{_NAME} map lookup problem for {address}"))
        raise work.refuse("4.6.0", 451, "Alias expansion error") from None
    for result in results:
        if len(result) > rules.alias_address_limit:
            raise _unreasonable(work, f"result {result[:300]}...")
    return results


def _unreasonable(work: Work, what: str) -> PermanentFailure | TemporaryFailure:
    work.log.warning(maillog.not_accepted(work.queue_id, f"unreasonable {_NAME} {what}"))
    return work.refuse("4.6.0", 451, "Alias expansion error")
