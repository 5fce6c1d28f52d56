"""local_header_rewrite_clients: whose header addresses are completed with our domain (postconf(5))."""

from __future__ import annotations

from collections.abc import Callable

from posthouse.config.networks import own_interfaces
from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.client_keys import network_keys
from posthouse.lookup.maps import open_maps_from
from posthouse.lookup.match_list import AddressList
from posthouse.policy.request import Request


class RewriteContext:
    """Says "local" or "remote" for a client."""

    def __init__(self, settings: Settings) -> None:
        self._tests: list[Callable[[Request], bool]] = []
        words = list(settings.items("local_header_rewrite_clients"))
        while words:
            self._tests.append(_test(settings, words))

    def of(self, request: Request) -> str:
        """The context of this client's mail; a table that fails does not match."""
        for test in self._tests:
            try:
                if test(request):
                    return "local"
            except LookupFailed:
                continue
        return "remote"


def _test(settings: Settings, words: list[str]) -> Callable[[Request], bool]:
    word = words.pop(0)
    if word == "permit_inet_interfaces":
        own = frozenset(str(interface.address) for interface in own_interfaces()) | {"127.0.0.1", "::1"}
        return lambda request: request.client_address in own
    if word == "permit_mynetworks":
        networks = AddressList(settings, "mynetworks")
        return lambda request: networks.contains(address=request.client_address)
    if word == "permit_sasl_authenticated":
        return lambda request: bool(request.sasl_username)
    if word in ("permit_tls_clientcerts", "permit_tls_all_clientcerts"):
        return lambda request: bool(request.ccert_fingerprint)
    spec = words.pop(0) if word == "check_address_map" and words else word
    maps = open_maps_from(settings, [spec])
    return lambda request: any(maps.lookup(key) is not None for key in network_keys(request.client_address))
