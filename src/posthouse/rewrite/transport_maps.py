"""transport_maps: overrides transport and next hop for addresses, domains and their parents, and `*` (transport(5))."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.lookup.address_keys import find_keys, transport_keys
from posthouse.lookup.maps import Maps, open_maps


@dataclass(frozen=True, slots=True)
class Route:
    """A transport (a service of master.cf) and where it shall bring the mail."""

    transport: str
    nexthop: str


class TransportMaps:
    """The tables of one such parameter (transport_maps, address_verify_transport_maps)."""

    __slots__ = ("_delimiters", "_maps", "_parents_match", "empty")

    def __init__(self, settings: Settings, parameter: str) -> None:
        self._maps: Maps = open_maps(settings, parameter)
        self.empty = self._maps.empty
        self._delimiters = settings.text("recipient_delimiter")
        self._parents_match = "transport_maps" in settings.items("parent_domain_matches_subdomains")

    async def override(self, recipient: str, route: Route) -> Route:
        """The route that the tables ask for, or route itself. Raises LookupFailed."""
        domain = recipient.rpartition("@")[2]
        keys = transport_keys(recipient, self._delimiters, parents_match=self._parents_match)
        found = await find_keys(self._maps, keys)
        if found is not None:
            return parse_transport(found.value, domain, route)
        value = await self._maps.find("*", partial=True)
        return parse_transport(value, domain, route) if value is not None else route


def parse_transport(value: str, domain: str, route: Route) -> Route:
    """A table's `transport:nexthop`, `transport:`, `:nexthop` or `:` applied to what was found so far."""
    transport, _, nexthop = value.partition(":")
    if transport:
        if not nexthop:
            nexthop = "Address is undeliverable" if transport in ("error", "retry") else domain
        return Route(transport, nexthop)
    return Route(route.transport, nexthop or route.nexthop)
