"""Is this recipient ours to take in? What permit_auth_destination and its relatives rest on."""

from __future__ import annotations

from posthouse.maillog import compatibility
from posthouse.policy.check import Check
from posthouse.services.resolving import AddressClass, Resolution


def has_sender_given_route(check: Check, resolved: Resolution) -> bool:
    """Whether the local part would make another machine pass the mail on (user%elsewhere@here), and that is not
    allowed (allow_untrusted_routing).
    """
    return resolved.routed and not check.means.settings.flag("allow_untrusted_routing")


async def is_authorized_destination(check: Check, recipient: str) -> bool:
    """The domain is one of ours, or one that we relay to."""
    resolved = await check.resolve(recipient)
    if "@" not in resolved.recipient:
        return True
    if resolved.address_class is AddressClass.DEFAULT:
        return False
    if has_sender_given_route(check, resolved):
        return False
    if check.means.relay_domains_are_old and resolved.address_class is AddressClass.RELAY:
        check.means.log.info(compatibility.relay_domain(resolved.recipient.rpartition("@")[2]))
    return True
