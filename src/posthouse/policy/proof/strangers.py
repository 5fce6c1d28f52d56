"""Who a stranger is: the clients, senders and recipients with which a relay is tried.

A stranger's address is not in mynetworks and is not ours; he has not logged in, shows no certificate, and no table
that check_client_access asks names him. A strange destination is a domain that this configuration does not speak of.
"""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.errors import LookupFailed
from posthouse.lookup.match_list import HostList
from posthouse.policy.means import Means

WIDE = 16  # of so many public /8 networks; a mynetworks that holds as many holds everybody's
V4_PROBES = tuple(f"{first}.37.91.203" for first in range(1, 224) if first not in {10, 127, 169, 172, 192})
V6_PROBES = tuple(f"{0x2000 + 0x101 * step:x}:db9:91::203" for step in range(31))
NAMES = ("unknown", "mail.stranger-to-us.example", "host-203.dynamic.stranger-to-us.net")
SENDERS = ("stranger@stranger-to-us.example", "")
HELO = "mail.stranger-to-us.example"
DOMAINS = (
    "elsewhere-from-us.example",
    *(f"elsewhere-from-us.{top}" for top in ("com", "net", "org", "info", "de", "uk", "fr", "edu", "cn", "ru", "io")),
)


def is_strange(recipient: str) -> bool:
    """Whether the recipient stands for anybody anywhere, not for somebody whom a table names."""
    local, _, domain = recipient.rpartition("@")
    head, _, top = domain.partition(".")
    return local == "somebody" and head == "elsewhere-from-us" and "." not in top


def wide_networks(means: Means) -> tuple[str, ...]:
    """Addresses of strangers that mynetworks holds, where it holds so many that it is everybody's; else ()."""
    found: list[str] = []
    for probes in (V4_PROBES, V6_PROBES):
        inside = tuple(_in_mynetworks(means, probes))
        if len(inside) >= min(WIDE, len(probes) // 4):
            found.extend(inside)
    return tuple(found)


def strange_clients(means: Means) -> tuple[str, ...]:
    """A few addresses outside mynetworks, IPv4 and IPv6; () where there are none."""
    found: list[str] = []
    for probes in (("198.51.100.7", *V4_PROBES), ("2001:db8:1::7", *V6_PROBES)):
        inside = set(_in_mynetworks(means, probes))
        found += [probe for probe in probes if probe not in inside][:2]
    return tuple(found)


def in_list(hosts: HostList) -> bool:
    """Whether a list of hosts holds about everybody."""
    return len(tuple(_inside(hosts, V4_PROBES))) >= WIDE


def _in_mynetworks(means: Means, probes: tuple[str, ...]) -> Iterator[str]:
    return _inside(means.mynetworks, probes)


def _inside(networks: HostList, probes: tuple[str, ...]) -> Iterator[str]:
    if networks.blocking:
        return
    for probe in probes:
        try:
            if networks.contains("unknown", probe):
                yield probe
        except LookupFailed:
            return
