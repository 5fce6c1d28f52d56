"""transport_maps: overrides transport and next hop for addresses, domains and their parents, and `*` (transport(5))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.lookup.maps import Maps, open_maps
from posthouse.mail.address import fold_address, quote_address, split_extension


@dataclass(frozen=True, slots=True)
class Route:
    """A transport (a service of master.cf) and where it shall bring the mail."""

    transport: str
    nexthop: str


class TransportMaps:
    """The tables of one such parameter (transport_maps, address_verify_transport_maps)."""

    __slots__ = ("_delimiters", "_maps", "_parents_by_name", "empty")

    def __init__(self, settings: Settings, parameter: str) -> None:
        self._maps: Maps = open_maps(settings, parameter)
        self.empty = self._maps.empty
        self._delimiters = settings.text("recipient_delimiter")
        self._parents_by_name = "transport_maps" in settings.items("parent_domain_matches_subdomains")

    async def override(self, recipient: str, route: Route) -> Route:
        """The route that the tables ask for, or route itself. Raises LookupFailed."""
        domain = recipient.rpartition("@")[2]
        for key in self._keys(recipient):
            value = await self._maps.find(key)
            if value is not None:
                return parse_transport(value, domain, route)
        value = await self._maps.find("*")
        return parse_wildcard(value, route) if value is not None else route

    def _keys(self, recipient: str) -> Iterator[str]:
        """In the order of transport(5): user+ext@domain, user@domain, domain, its parents."""
        local, _, domain = recipient.rpartition("@")
        yield fold_address(quote_address(recipient))
        base, extension = split_extension(local, self._delimiters)
        if extension or base != local:
            yield fold_address(quote_address(f"{base}@{domain}"))
        domain = fold_address(domain)
        yield domain
        position = domain.find(".", 1)
        while position >= 0:
            yield domain[position + 1 :] if self._parents_by_name else domain[position:]
            position = domain.find(".", position + 1)


def parse_transport(value: str, domain: str, route: Route) -> Route:
    """A table's `transport:nexthop`, `transport:`, `:nexthop` or `:` applied to what was found so far."""
    transport, _, nexthop = value.partition(":")
    if transport:
        if not nexthop:
            nexthop = "Address is undeliverable" if transport == "error" else domain
        return Route(transport, nexthop)
    return Route(route.transport, nexthop or route.nexthop)


def parse_wildcard(value: str, route: Route) -> Route:
    """The entry for `*` replaces only what it names."""
    transport, _, nexthop = value.partition(":")
    if transport == "error" and not nexthop:
        nexthop = "Address is undeliverable"
    return Route(transport or route.transport, nexthop or route.nexthop)
