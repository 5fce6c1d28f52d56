"""DNS lists of good and bad hosts and domains: what is asked, what counts as listed, and the reply (reject_rbl_client).

Differs from Postfix: answers in 127.255.255.0/24 are a list's way to say that the question was not answered (a query
through a public resolver, over a limit); they never count as listed, and the log says so once for each list.
"""

from __future__ import annotations

import ipaddress
import re
import time
from dataclasses import dataclass

from posthouse.mail.status import Status
from posthouse.policy.access_action import split_dsn
from posthouse.policy.answer import Refuse, server_error
from posthouse.policy.check import Check
from posthouse.policy.domains import ask_filtered
from posthouse.policy.enhanced_codes import fit_dsn
from posthouse.policy.template import UnknownName, expand_template
from posthouse.system.dns_answers import Answer as DnsAnswer
from posthouse.system.dns_answers import DnsFailed

_LIST_ERROR = "127.255.255."
_COMPLAIN_EVERY = 3600.0
_RANGE = re.compile(r"(\d{1,3})(?:\.\.(\d{1,3}))?")
_FIELD = re.compile(r"\[[0-9;.]+\]|\d{1,3}")


@dataclass(frozen=True, slots=True)
class DnsList:
    """domain, as it is asked and as $rbl_domain; written, as main.cf has it, is the key of rbl_reply_maps.

    pattern is None (any address counts) or four sets of numbers.
    """

    domain: str
    pattern: tuple[frozenset[int], ...] | None
    written: str = ""

    def counts(self, address: str) -> bool:
        """Whether that answer means "listed"."""
        if address.startswith(_LIST_ERROR):
            return False
        if self.pattern is None:
            return True
        numbers = address.split(".")
        if len(numbers) != len(self.pattern):
            return False
        return all(int(number) in allowed for number, allowed in zip(numbers, self.pattern, strict=True))


@dataclass(frozen=True, slots=True)
class Listing:
    """An entry of a list: where it was found, and the list's TXT record."""

    dns_list: DnsList
    query: str
    address: str


class BadFilter(ValueError):
    """The text after "=" is no d.d.d.d pattern."""


def parse_dns_list(text: str) -> DnsList:
    """Read "zen.example.net" or "zen.example.net=127.0.0.[2..11]". Raises BadFilter."""
    domain, equals, filter_text = text.partition("=")
    if not equals:
        return DnsList(domain, None)
    fields: list[frozenset[int]] = []
    position = 0
    while True:
        match = _FIELD.match(filter_text, position)
        if match is None:
            raise BadFilter(f"need decimal number or [..] at end of pattern '{filter_text}'")
        fields.append(_numbers(match[0]))
        position = match.end()
        if position == len(filter_text):
            break
        if filter_text[position] != ".":
            raise BadFilter(f"garbage after pattern: {filter_text[position:]}")
        position += 1
    if len(fields) != 4:
        raise BadFilter(f"need four fields in pattern '{filter_text}'")
    return DnsList(domain, tuple(fields), text)


def _numbers(field: str) -> frozenset[int]:
    allowed: set[int] = set()
    for part in field.strip("[]").split(";"):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise BadFilter(f"bad number range '{part}'")
        low = int(match[1])
        high = int(match[2]) if match[2] else low
        if not low <= high <= 255:
            raise BadFilter(f"bad number range '{part}'")
        allowed.update(range(low, high + 1))
    return frozenset(allowed)


def reversed_address(address: str) -> str:
    """198.51.100.7 as 7.100.51.198; IPv6 by its hexadecimal digits."""
    parsed = ipaddress.ip_address(address)
    return parsed.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


async def find_listing(check: Check, what: str, dns_list: DnsList) -> Listing | DnsFailed | None:
    """Ask the list about a reversed address or a domain."""
    query = f"{what}.{dns_list.domain}"
    result = await ask_filtered(check, query, "A")
    if isinstance(result, DnsFailed):
        check.means.log.warning(f"{query}: RBL lookup error: {result.text}")
        return result
    if not isinstance(result, DnsAnswer):
        return None
    for address in result.texts:
        if address.startswith(_LIST_ERROR):
            _complain(check, dns_list.domain, address)
        elif dns_list.counts(address):
            return Listing(dns_list, query, address)
    return None


def _complain(check: Check, domain: str, address: str) -> None:
    complained, now = check.means.complained, time.monotonic()
    if now - complained.get(domain, -_COMPLAIN_EVERY) < _COMPLAIN_EVERY:
        return
    complained[domain] = now
    check.means.log.warning(
        f"DNS list {domain} answers {address}: it does not take our questions (public resolver, or too many); ignored"
    )


async def refuse_listed(check: Check, listing: Listing, subject: tuple[str, str]) -> Refuse:
    """The reply for subject, (what is listed, its class): rbl_reply_maps, or default_rbl_reply."""
    domain = listing.dns_list.domain
    result = await ask_filtered(check, listing.query, "TXT")
    if isinstance(result, DnsFailed):
        check.means.log.warning(f"{listing.query}: TXT lookup error: {result.reason}")
    reason = " / ".join(result.texts) if isinstance(result, DnsAnswer) else ""
    values = _values(check, domain, reason, subject)
    template = await check.means.maps("rbl_reply_maps").find(listing.dns_list.written or domain)
    text = "" if not template else _expand_own(check, template, values, domain)
    if not text:
        text = _expand_default(check, values)
    code, _, rest = text.partition(" ")
    if not (len(code) == 3 and code.isdigit() and code[0] in "45"):
        check.means.log.warning(f"rbl response code configuration error: {text}")
        return Refuse(Status("4.7.1", 450, "Service unavailable"))
    dsn, words = split_dsn(rest)
    return Refuse(Status(fit_dsn(check, dsn or f"{code[0]}.7.1", subject[1]), int(code), words))


def _values(check: Check, domain: str, reason: str, subject: tuple[str, str]) -> dict[str, str]:
    request = check.request
    values = {
        "client": check.client,
        "client_address": request.client_address,
        "client_name": request.client_name,
        "reverse_client_name": request.reverse_client_name,
        "helo_name": request.helo_name or "",
        "rbl_code": str(check.means.code("maps_rbl_reject_code")),
        "rbl_domain": domain,
        "rbl_reason": reason,
        "rbl_txt": reason,
        "rbl_what": subject[0],
        "rbl_class": subject[1],
    }
    for party, address in (("sender", request.sender), ("recipient", check.recipient)):
        local, at, domain_part = (address or "").rpartition("@")
        name = local if at else domain_part
        values[party] = address or "<>"
        values[f"{party}_name"] = name or "<>"
        values[f"{party}_domain"] = domain_part if at else ""
    return values


def _expand_default(check: Check, values: dict[str, str]) -> str:
    """default_rbl_reply; a name that is not known is a mistake of ours, and the mail has to wait."""
    # Differs from Postfix: the session goes on.
    template = check.means.settings.raw("default_rbl_reply")
    try:
        return expand_template(template, values)
    except UnknownName as problem:
        check.means.log.warning(f'unknown macro name "{problem}" in expansion request')
        check.means.log.warning(f"rbl_reject_reply: bad default rbl reply template: {template}")
        raise server_error() from problem


def _expand_own(check: Check, template: str, values: dict[str, str], domain: str) -> str:
    """A template of rbl_reply_maps; "" where it names something that is not known."""
    try:
        return expand_template(template, values)
    except UnknownName as problem:
        check.means.log.warning(f'unknown macro name "{problem}" in expansion request')
        check.means.log.warning(f"rbl_reject_reply: bad rbl reply template for domain {domain}: {template}")
        return ""
