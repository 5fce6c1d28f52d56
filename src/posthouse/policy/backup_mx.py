"""Are we a backup mail exchanger of this recipient's domain? (permit_mx_backup)"""

from __future__ import annotations

import ipaddress

from posthouse.mail.status import Status
from posthouse.policy.answer import PERMIT, Answer, Postpone, Unless
from posthouse.policy.check import RECIPIENT, Check
from posthouse.policy.destinations import has_sender_given_route
from posthouse.policy.domains import ask
from posthouse.services.resolving import AddressClass
from posthouse.system.dns_answers import Answer as DnsAnswer
from posthouse.system.dns_answers import DnsFailed, Mx


async def is_backup_mx(check: Check, recipient: str) -> Answer:
    """Permit where the domain's MX records name us, and (permit_mx_backup_networks) the first ones are known."""
    resolved = await check.resolve(recipient)
    domain = resolved.recipient.rpartition("@")[2]
    if "@" not in resolved.recipient:
        return PERMIT
    if has_sender_given_route(check, resolved):
        return None
    if resolved.address_class is not AddressClass.DEFAULT:
        return PERMIT
    if domain.startswith("["):
        return None
    result = await ask(check, domain, "MX")
    if isinstance(result, DnsFailed):
        return _later(recipient, f"Unable to look up mail exchanger information: {result.reason}")
    if not isinstance(result, DnsAnswer):
        return None
    exchangers = [mx for mx in result.exchangers if mx.host]
    if not await _one_is_us(check, exchangers):
        return None
    if check.means.settings.text("permit_mx_backup_networks").strip():
        return await _first_are_known(check, exchangers, recipient)
    return PERMIT


def _later(recipient: str, text: str) -> Postpone:
    return Postpone(Unless.REJECT, Status("4.4.4", 450, f"<{recipient}>: {RECIPIENT} rejected: {text}"))


async def _one_is_us(check: Check, exchangers: list[Mx]) -> bool:
    """By name, or by one of its addresses."""
    myhostname = check.means.settings.text("myhostname").lower()
    own = check.means.own_addresses()
    for exchanger in exchangers:
        host = exchanger.host.lower()
        if host == myhostname or await check.means.mydestination.matches(host):
            return True
        found = await check.means.house.dns.addresses(exchanger.host, check.means.settings.items("inet_protocols"))
        if isinstance(found, DnsAnswer) and any(str(ipaddress.ip_address(text)) in own for text in found.texts):
            return True
    return False


async def _first_are_known(check: Check, exchangers: list[Mx], recipient: str) -> Answer:
    """All of the best exchangers must have an address in permit_mx_backup_networks."""
    best = exchangers[0].preference
    networks = check.means.backup_networks
    for exchanger in exchangers:
        if exchanger.preference != best:
            break
        found = await check.means.house.dns.addresses(exchanger.host, check.means.settings.items("inet_protocols"))
        if isinstance(found, DnsFailed):
            return _later(recipient, f"Unable to look up host {exchanger.host} as mail exchanger: {found.reason}")
        if not isinstance(found, DnsAnswer):
            return None
        for address in found.texts:
            if not await networks.matches(exchanger.host, address):
                return None
    return PERMIT
