"""Which logins own an address: smtpd_sender_login_maps, asked for senders and for what stands in the header."""

from __future__ import annotations

from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import find_address
from posthouse.lookup.table import failure_warnings
from posthouse.policy.answer import lookup_trouble
from posthouse.policy.check import Check

MAPS = "smtpd_sender_login_maps"


async def owners_of(check: Check, address: str) -> frozenset[str] | None:
    """The logins (in small letters) that own the address; None where nobody does. Stops the evaluation when a table
    fails.
    """
    maps = check.means.maps(MAPS)
    if not address or maps.empty:
        return None
    resolved = await check.resolve(address)
    delimiters = check.means.settings.text("recipient_delimiter")
    try:
        found = await find_address(
            maps, resolved.recipient, delimiters=delimiters, is_local=check.means.is_local_domain
        )
    except LookupFailed as problem:
        for text in failure_warnings(problem, resolved.recipient):
            check.means.log.warning(text)
        raise lookup_trouble(address) from problem
    if check.trace is not None:
        check.learn("table", MAPS, resolved.recipient, found.value if found else None)
    return None if found is None else frozenset(found.value.replace(",", " ").lower().split())


def is_login_offered(check: Check, restriction_name: str) -> bool:
    """Whether clients can log in at all; if not, the log says that the restriction does nothing."""
    if check.means.settings.flag("smtpd_sasl_auth_enable"):
        return True
    check.means.log.warning(f"restriction `{restriction_name}' ignored: no SASL support")
    return False
