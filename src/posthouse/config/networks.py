"""The networks of this machine, which mynetworks_style trusts when main.cf names none (postconf(5), mynetworks)."""

from __future__ import annotations

import ctypes
import ctypes.util
import ipaddress
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posthouse.config.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Interface:
    """An address of this machine, and the length of its network's prefix."""

    address: Address
    prefix: int


class _InterfaceAddress(ctypes.Structure):
    """struct ifaddrs, as far as Linux and the BSDs agree."""


_InterfaceAddress._fields_ = [
    ("next", ctypes.POINTER(_InterfaceAddress)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
    ("netmask", ctypes.c_void_p),
]

_UP = 1


def _packed(sockaddr: int | None, family: int | None = None) -> bytes | None:
    """The address within a struct sockaddr; the BSDs put a length before the family."""
    if not sockaddr:
        return None
    if family is None:
        family = _family(sockaddr)
    if family == socket.AF_INET:
        return ctypes.string_at(sockaddr + 4, 4)
    if family == socket.AF_INET6:
        return ctypes.string_at(sockaddr + 8, 16)
    return None


def _family(sockaddr: int) -> int:
    head = ctypes.string_at(sockaddr, 2)
    return int.from_bytes(head, sys.byteorder) if sys.platform.startswith("linux") else head[1]


def own_interfaces() -> tuple[Interface, ...]:
    """The addresses of all interfaces that are up, in the system's order."""
    library = ctypes.CDLL(
        ctypes.util.find_library("c") if not sys.platform.startswith("linux") else None, use_errno=True
    )
    head = ctypes.POINTER(_InterfaceAddress)()
    if library.getifaddrs(ctypes.byref(head)) != 0:
        return ()
    try:
        return tuple(_interfaces(head))
    finally:
        library.freeifaddrs(head)


def _interfaces(entry: ctypes._Pointer[_InterfaceAddress]) -> Iterator[Interface]:
    while entry:
        record = entry.contents
        entry = record.next
        if not record.flags & _UP or not record.address:
            continue
        family = _family(record.address)
        packed = _packed(record.address, family)
        if packed is None:
            continue
        mask = _packed(record.netmask, family) or b"\xff" * len(packed)
        yield Interface(ipaddress.ip_address(packed), int.from_bytes(mask, "big").bit_count())


def own_networks(settings: Settings) -> str:
    """The default of mynetworks: this host, its subnets, or its address classes, as mynetworks_style says."""
    style = settings.text("mynetworks_style")
    written = (_network(interface, style) for interface in _listening(settings))
    return " ".join(dict.fromkeys(written))


def _listening(settings: Settings) -> Iterator[Interface]:
    """The interfaces that inet_interfaces and inet_protocols leave; IPv4 before IPv6."""
    protocols = settings.items("inet_protocols")
    wanted = settings.items("inet_interfaces")
    versions = [version for version in (4, 6) if "all" in protocols or f"ipv{version}" in protocols]
    names = {name.strip("[]").lower() for name in wanted}
    for version in versions:
        for interface in own_interfaces():
            address = interface.address
            if address.version != version:
                continue
            local = address.is_loopback and ("loopback-only" in names or "localhost" in names)
            if "all" in names or local or str(address) in names:
                yield interface


def _network(interface: Interface, style: str) -> str:
    address = interface.address
    prefix = interface.prefix
    if style == "host":
        prefix = address.max_prefixlen
    elif style == "class" and isinstance(address, ipaddress.IPv4Address):
        first = address.packed[0]
        prefix = 8 if first < 128 else 16 if first < 192 else 24 if first < 224 else 32
    network = ipaddress.ip_network((address, prefix), strict=False)
    if isinstance(network, ipaddress.IPv6Network):
        return f"[{network.network_address}]/{network.prefixlen}"
    return str(network)
