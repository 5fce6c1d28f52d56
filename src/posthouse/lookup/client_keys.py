"""Which keys a table is asked for a client: a name and its parents, an address and its networks (access(5))."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.lookup.address_keys import domain_keys


def hostname_keys(name: str, *, parents_match: bool) -> Iterator[str]:
    """A host name and its parent domains, as check_client_access, check_helo_access and their like ask."""
    return domain_keys(name, parents_match=parents_match)


def network_keys(address: str) -> Iterator[str]:
    """An address and the networks it is in, by leaving out its end: 198.51.100.7, 198.51.100, 198.51, 198.

    IPv6 is cut at its colons: 2001:db8::7, 2001:db8:, 2001:db8, 2001.
    """
    yield address
    separator = ":" if ":" in address else "."
    place = address.rfind(separator)
    while place > 0:
        yield address[:place]
        place = address.rfind(separator, 0, place)
