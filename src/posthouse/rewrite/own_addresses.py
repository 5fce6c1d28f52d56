"""Whether a literal such as user@[192.0.2.1] means this machine: inet_interfaces, proxy_interfaces (postconf(5))."""

from __future__ import annotations

import ipaddress
import socket

from posthouse.config.settings import Settings
from posthouse.mail.address import literal_address

_LOOPBACK = ("127.0.0.1", "::1")


class OwnAddresses:
    """The addresses at which mail reaches us. Names among them are resolved at the first literal."""

    __slots__ = ("_known", "_words")

    def __init__(self, settings: Settings) -> None:
        self._words = (*settings.items("inet_interfaces"), *settings.items("proxy_interfaces"))
        self._known: frozenset[str] | None = None

    def has_literal(self, domain: str) -> bool:
        """Whether `[192.0.2.1]` or `[IPv6:2001:db8::1]` is one of ours."""
        text = literal_address(domain)
        if not text:
            return False
        if self._known is None:
            self._known = self._resolve_words()
        address = str(ipaddress.ip_address(text))
        return address in self._known or ("all" in self._words and _is_on_an_interface(address))

    def _resolve_words(self) -> frozenset[str]:
        known: set[str] = set()
        for word in self._words:
            if word == "loopback-only":
                known.update(_LOOPBACK)
            elif word != "all":
                known.update(_addresses_of(word.strip("[]")))
        return frozenset(known)


def _addresses_of(name: str) -> set[str]:
    try:
        return {str(ipaddress.ip_address(name))}
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(ipaddress.ip_address(str(entry[4][0]).partition("%")[0])) for entry in found}


def _is_on_an_interface(address: str) -> bool:
    """A socket can be bound only to an address that an interface of the machine has."""
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified or parsed.is_multicast:
        return False
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
