"""SPF for the house's own restrictions: who is asked about, and what a message is told of it once."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from posthouse.config.settings import Settings
from posthouse.policy.spf.header import Mail, authentication_results, received_spf
from posthouse.policy.spf.result import SpfResult

if TYPE_CHECKING:
    from posthouse.policy.spf.evaluation import SpfChecker


def checker_of(house: Any, settings: Settings) -> SpfChecker:
    """The worker's one checker, whose results all sessions share."""
    if house.spf is None:
        from posthouse.policy.spf.evaluation import Limits, SpfChecker

        limits = Limits(settings.seconds("posthouse_spf_timeout"), settings.integer("posthouse_spf_void_lookup_limit"))
        house.spf = SpfChecker(house.dns.lookup, limits)
    checker: SpfChecker = house.spf
    return checker


async def ask(checker: SpfChecker, client: str, sender: str, helo: str) -> SpfResult | None:
    """About the sender, or the HELO name of the null sender; None where there is nothing to ask about."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if not sender and not helo:
        return None
    return await checker.check(str(mapped or address), sender, helo)


async def proven_domain(checker: SpfChecker, client: str, sender: str, helo: str) -> str:
    """The domain for which SPF lets the client send, "" for none."""
    found = await ask(checker, client, sender, helo)
    return found.domain if found is not None and found.result == "pass" else ""


def header_of(settings: Settings, found: SpfResult, mail: Mail) -> str:
    """The field that posthouse_spf_header asks for, "" for none."""
    kind = settings.text("posthouse_spf_header").upper()
    if kind == "AR":
        return authentication_results(found, mail, settings.text("myhostname"))
    return received_spf(found, mail) if kind == "SPF" else ""
