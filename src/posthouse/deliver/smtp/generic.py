"""Replaces addresses as mail leaves: smtp_generic_maps, in the envelope and in the message's header (generic(5))."""

from __future__ import annotations

from dataclasses import replace

from posthouse.config.settings import Settings
from posthouse.lookup.address_keys import find_address, with_extension
from posthouse.lookup.maps import Maps, open_maps
from posthouse.mail.address import quote_address
from posthouse.mail.address_list import parse_addresses, print_field
from posthouse.mail.content import Content
from posthouse.mail.headers import ROLES, Role, divide, name_of
from posthouse.rewrite.address_class import AddressClasses
from posthouse.services.house import House
from posthouse.system.log import DaemonLog


class GenericMaps:
    """The tables of one service. empty: nothing is to be done."""

    def __init__(self, settings: Settings, prefix: str, house: House, log: DaemonLog) -> None:
        self._maps: Maps = open_maps(settings, f"{prefix}_generic_maps")
        self.empty = self._maps.empty
        if self.empty:
            return
        self._house = house
        self._delimiters = settings.text("recipient_delimiter")
        self._propagates = "generic" in {word.lower() for word in settings.items("propagate_unmatched_extensions")}
        self._token_limit = settings.integer("header_address_token_limit")
        self._myorigin = settings.text("myorigin").lower()
        self._classes = AddressClasses(settings, log)

    async def address(self, address: str) -> str:
        """What stands for an address (internal form) outside; itself where no table knows it. Raises LookupFailed."""
        if not address:
            return address
        domain = address.rpartition("@")[2]
        is_local = domain.lower() == self._myorigin or await self._classes.is_local(domain)
        found = await find_address(self._maps, address, delimiters=self._delimiters, is_local=lambda _: is_local)
        if found is None:
            return address
        kept = found.extension if self._propagates else ""
        if found.value.startswith("@"):
            local = address.rpartition("@")[0] or address
            local = local.removesuffix(found.extension) if found.extension else local
            return with_extension(local + found.value, kept)
        named = next((entry.address for entry in parse_addresses(found.value) if entry.address is not None), None)
        if named is None or not named.external:
            return address
        rewriter = self._house.rewriter
        complete = await rewriter.rewrite("local", named.internal) if rewriter is not None else named.internal
        return with_extension(complete, kept)

    async def content(self, content: Content) -> Content:
        """The content with the addresses of its header replaced; inner messages stay as they are."""
        divided = divide(content.header)
        fields = [await self._field(field) for field in divided.fields]
        if fields == divided.fields:
            return content
        return replace(content, header=b"".join(field + b"\n" for field in fields) + divided.rest)

    async def _field(self, field: bytes) -> bytes:
        if not ROLES.get(name_of(field), Role.NOTHING) & (Role.SENDER | Role.RECIPIENT):
            return field
        name, _, value = field.decode("utf-8", "surrogateescape").partition(":")
        entries = parse_addresses(value, self._token_limit)
        changed = False
        for entry in entries:
            if entry.address is None or not entry.address.external:
                continue
            internal = entry.address.internal
            mapped = await self.address(internal)
            if mapped != internal:
                entry.address.external = quote_address(mapped)
                changed = True
        return print_field(name, entries).encode("utf-8", "surrogateescape") if changed else field
