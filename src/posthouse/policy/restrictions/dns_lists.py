"""Restrictions that ask DNS lists about the client's address, or about names (reject_rbl_client, reject_rhsbl_*)."""

from __future__ import annotations

from posthouse.mail.address import is_valid_hostname
from posthouse.mail.status import Status
from posthouse.policy import check as names
from posthouse.policy.answer import PERMIT, Answer, Postpone, Unless
from posthouse.policy.catalogue import Permits, Stage, Takes, restriction
from posthouse.policy.check import Check
from posthouse.policy.destinations import is_authorized_destination
from posthouse.policy.dns_lists import (
    DnsList,
    Listing,
    find_listing,
    parse_dns_list,
    refuse_listed,
    reversed_address,
)
from posthouse.system.dns_answers import DnsFailed


@restriction(takes=Takes.DNS_LIST, needs_dns=True)
async def reject_rbl_client(check: Check, dns_list: DnsList) -> Answer:
    """Refuse clients whose address a DNS list has, with any answer or (list=d.d.d.d) with one of those given
    (maps_rbl_reject_code; rbl_reply_maps, default_rbl_reply).
    """
    address = check.request.client_address
    return await _refuse_if_listed(check, reversed_address(address), dns_list, (address, names.CLIENT))


async def _refuse_if_listed(check: Check, what: str, dns_list: DnsList, subject: tuple[str, str]) -> Answer:
    listing = await find_listing(check, what, dns_list)
    if not isinstance(listing, Listing):
        return None
    return await refuse_listed(check, listing, subject)


async def _refuse_domain(check: Check, domain: str, dns_list: DnsList, subject: tuple[str, str]) -> Answer:
    """Names only: the lists do not know address literals, and "unknown" is no name."""
    if not domain or domain.startswith("[") or not is_valid_hostname(domain):
        return None
    return await _refuse_if_listed(check, domain, dns_list, subject)


@restriction(takes=Takes.DNS_LIST, needs_dns=True)
async def reject_rhsbl_client(check: Check, dns_list: DnsList) -> Answer:
    """Refuse clients whose (confirmed) name a DNS list has."""
    name = check.request.client_name
    return None if name == "unknown" else await _refuse_domain(check, name, dns_list, (name, names.CLIENT))


@restriction(takes=Takes.DNS_LIST, needs_dns=True)
async def reject_rhsbl_reverse_client(check: Check, dns_list: DnsList) -> Answer:
    """Refuse clients whose unconfirmed name a DNS list has."""
    name = check.request.reverse_client_name
    return None if name == "unknown" else await _refuse_domain(check, name, dns_list, (name, names.REVERSE_CLIENT))


@restriction(takes=Takes.DNS_LIST, needs_dns=True, stages=Stage.WITH_HELO)
async def reject_rhsbl_helo(check: Check, dns_list: DnsList) -> Answer:
    """Refuse clients whose HELO name a DNS list has."""
    name = check.request.helo_name or ""
    return await _refuse_domain(check, name, dns_list, (name, names.HELO))


@restriction(takes=Takes.DNS_LIST, needs_dns=True, stages=Stage.WITH_SENDER)
async def reject_rhsbl_sender(check: Check, dns_list: DnsList) -> Answer:
    """Refuse senders whose domain a DNS list has."""
    sender = check.request.sender or ""
    domain = sender.rpartition("@")[2] if "@" in sender else ""
    return await _refuse_domain(check, domain, dns_list, (sender, names.SENDER))


@restriction(takes=Takes.DNS_LIST, needs_dns=True, stages=Stage.WITH_RECIPIENT)
async def reject_rhsbl_recipient(check: Check, dns_list: DnsList) -> Answer:
    """Refuse recipients whose domain a DNS list has."""
    recipient = check.recipient or ""
    domain = recipient.rpartition("@")[2] if "@" in recipient else ""
    return await _refuse_domain(check, domain, dns_list, (recipient, names.RECIPIENT))


@restriction(takes=Takes.DNS_LIST, needs_dns=True, permits=Permits.OUR_DESTINATION)
async def permit_dnswl_client(check: Check, dns_list: DnsList) -> Answer:
    """Permit clients whose address a DNS list of good ones has; never a recipient that is not ours."""
    return await _permit_if_listed(check, reversed_address(check.request.client_address), dns_list)


@restriction(takes=Takes.DNS_LIST, needs_dns=True, permits=Permits.OUR_DESTINATION)
async def permit_rhswl_client(check: Check, dns_list: DnsList) -> Answer:
    """Permit clients whose confirmed name a DNS list of good ones has; never a recipient that is not ours."""
    name = check.request.client_name
    return None if name == "unknown" else await _permit_if_listed(check, name, dns_list)


async def _permit_if_listed(check: Check, what: str, dns_list: DnsList) -> Answer:
    if not check.recipient or not await is_authorized_destination(check, check.recipient):
        return None
    listing = await find_listing(check, what, dns_list)
    if isinstance(listing, DnsFailed):
        text = f"<{check.request.client_address}>: {names.CLIENT} rejected: Service unavailable"
        return Postpone(Unless.REJECT, Status("4.7.1", check.means.code("access_map_defer_code"), text))
    return None if listing is None else PERMIT


@restriction(needs_dns=True)
async def reject_maps_rbl(check: Check) -> Answer:
    """An older form of reject_rbl_client: all lists of maps_rbl_domains in turn."""
    settings = check.means.settings
    check.means.log.warning(
        f'support for restriction "reject_maps_rbl" will be removed from {settings.text("mail_name")}; '
        'use "reject_rbl_client domain-name" instead'
    )
    for domain in settings.items("maps_rbl_domains"):
        answer = await reject_rbl_client(check, parse_dns_list(domain))
        if answer is not None:
            return answer
    return None
