"""Who answers for a list and gets its bounces: the alias owner-name (local(8), owner_request_special)."""

from __future__ import annotations

from posthouse.deliver.local.context import Local
from posthouse.deliver.local.destinations import ToAddress, read_destinations


async def owner_of(local: Local, name: str) -> str | None:
    """The address owner-name, or what that alias says with expand_owner_alias; None where there is no such alias."""
    if not local.rules.owner_special:
        return None
    owner = f"owner-{name}"
    members = await local.aliases.find(owner)
    if members is None:
        return None
    address = owner
    if local.rules.expand_owner:
        first = next((d for d in read_destinations(members) if isinstance(d, ToAddress)), None)
        address = first.address if first is not None else owner
    rewriter = local.house.rewriter
    return await rewriter.rewrite("local", address) if rewriter is not None else address
