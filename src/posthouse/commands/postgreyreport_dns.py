"""What postgreyreport asks the DNS: whether a client is on a list, and whether a sender's domain leads to it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import dns.exception
import dns.resolver
import dns.reversename


class Marked(Protocol):
    """A case of the report."""

    address: str
    sender: str
    mark: str


def is_listed(address: str, zone: str) -> bool:
    """Whether a DNS list has the address."""
    reverse = dns.reversename.from_address(address).relativize(dns.reversename.ipv4_reverse_domain)
    return bool(_records(f"{reverse.to_text()}.{zone}", "A"))


def mark(cases: Sequence[Marked], checks: Sequence[str]) -> None:
    """Put MX, A, MX/24 or A/24 to those whose sender's domain leads to the client."""
    for case in cases:
        domain = case.sender.rpartition("@")[2]
        case.mark = next((check.upper() for check in checks if _leads_to(domain, check.lower(), case.address)), "")


def _leads_to(domain: str, check: str, address: str) -> bool:
    kind, _, bits = check.partition("/")
    hosts = [record.split()[-1] for record in _records(domain, "MX")] if kind == "mx" else [domain]
    length = int(bits) if bits.isdigit() and int(bits) <= 32 else 32
    return any(
        ipaddress.ip_address(address) in ipaddress.ip_network(f"{found}/{length}", strict=False)
        for host in hosts
        for found in _records(host, "A")
    )


@lru_cache(maxsize=10000)
def _records(name: str, kind: str) -> tuple[str, ...]:
    try:
        return tuple(record.to_text() for record in dns.resolver.resolve(name, kind, lifetime=5.0))
    except dns.exception.DNSException:
        return ()
