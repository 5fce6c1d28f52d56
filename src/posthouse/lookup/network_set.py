"""Sets of IP networks, and how one is written: 10.0.0.0/8, [2001:db8::]/32, 192.0.2.1 (cidr_table(5))."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton

BITS = {4: 32, 6: 128}

Network = tuple[int, int, int]  # version, prefix length, the prefix's bits


class BadNetwork(ValueError):
    """Text that is no address or network; str() says what is wrong with it."""


def address_bits(text: str) -> tuple[int, int] | None:
    """Version and bits of an IP address without brackets; None for anything else."""
    try:
        if ":" in text:
            return 6, int.from_bytes(inet_pton(AF_INET6, text))
        return 4, int.from_bytes(inet_pton(AF_INET, text))
    except (OSError, ValueError):
        return None


def parse_network(text: str) -> Network:
    """The network that text names. Raises BadNetwork."""
    address, slash, mask = _divide(text)
    if slash and not (mask.isascii() and mask.isdigit()):
        raise BadNetwork(f'bad mask value in "{text}"')
    bits = address_bits(address)
    if bits is None:
        raise BadNetwork(f'bad network value in "{text}"' if slash else f'bad address pattern: "{text}"')
    version, value = bits
    width = BITS[version]
    length = int(mask) if slash and len(mask) < 5 else width
    if length > width or (slash and len(mask) > 4):
        raise BadNetwork(f'bad mask length in "{text}"')
    prefix = value >> (width - length) if length else 0
    if prefix << (width - length) != value:
        fitting = f"{_shown(version, prefix << (width - length))}/{length}"
        raise BadNetwork(f'non-null host address bits in "{text}", perhaps you should use "{fitting}" instead')
    return version, length, prefix


def _divide(text: str) -> tuple[str, str, str]:
    """Address, slash and mask; brackets may stand around the address, or around all of it."""
    if not text.startswith("["):
        return text.partition("/")
    inner, bracket, rest = text[1:].partition("]")
    if not bracket:
        raise BadNetwork(f"missing ']' character after \"{text}\"")
    if rest and not rest.startswith("/"):
        raise BadNetwork(f'garbage after "{text[: len(text) - len(rest)]}"')
    if rest:
        return inner, "/", rest[1:]
    return inner.partition("/")


def _shown(version: int, bits: int) -> str:
    from ipaddress import IPv4Address, IPv6Address

    return str(IPv4Address(bits) if version == 4 else IPv6Address(bits))


class NetworkSet:
    """Networks, asked for an address in the time of a few dictionary look-ups."""

    __slots__ = ("_by_length",)

    def __init__(self) -> None:
        self._by_length: dict[int, list[tuple[int, set[int]]]] = {4: [], 6: []}

    def add(self, network: Network) -> None:
        version, length, prefix = network
        shift = BITS[version] - length
        for known, prefixes in self._by_length[version]:
            if known == shift:
                prefixes.add(prefix)
                return
        self._by_length[version].append((shift, {prefix}))

    def contains(self, version: int, bits: int) -> bool:
        for shift, prefixes in self._by_length[version]:  # noqa: SIM110 - a generator costs twice as much
            if bits >> shift in prefixes:
                return True
        return False
