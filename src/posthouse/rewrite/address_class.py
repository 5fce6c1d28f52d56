"""Which address class a domain belongs to, and which transport and next hop that gives (ADDRESS_CLASS_README)."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import find_address
from posthouse.lookup.maps import Maps, open_maps
from posthouse.mail.address import fold_address
from posthouse.rewrite.domains import DomainList
from posthouse.rewrite.own_addresses import OwnAddresses
from posthouse.rewrite.transport_maps import Route
from posthouse.services.resolving import AddressClass
from posthouse.system.log import DaemonLog


class AddressClasses:
    """The domain lists of one configuration."""

    __slots__ = ("_log", "_mydestination", "_own", "relay", "virtual_alias", "virtual_mailbox")

    def __init__(self, settings: Settings, log: DaemonLog) -> None:
        self._log = log
        self._mydestination = DomainList(settings, "mydestination")
        self._own = OwnAddresses(settings)
        self.virtual_alias = DomainList(settings, "virtual_alias_domains")
        self.virtual_mailbox = DomainList(settings, "virtual_mailbox_domains")
        self.relay = DomainList(settings, "relay_domains")

    async def is_local(self, domain: str) -> bool:
        """Whether mail for the domain ends here: mydestination, or an address of this machine."""
        if domain.endswith(".") and not domain.endswith(".."):
            domain = domain[:-1]
        if await self._listed(self._mydestination, fold_address(domain)):
            return True
        return domain.startswith("[") and self._own.has_literal(domain)

    async def of_remote(self, domain: str) -> AddressClass:
        """The class of a domain that is not local. Raises LookupFailed."""
        folded = fold_address(domain)
        if await self._listed(self.virtual_alias, folded):
            await self._warn_if_listed(domain, self.virtual_alias, (self.virtual_mailbox, self.relay))
            return AddressClass.VIRTUAL_ALIAS
        if await self._listed(self.virtual_mailbox, folded):
            await self._warn_if_listed(domain, self.virtual_mailbox, (self.relay,))
            return AddressClass.VIRTUAL_MAILBOX
        if await self._listed(self.relay, folded):
            return AddressClass.RELAY
        return AddressClass.DEFAULT

    async def warn_of_local(self, domain: str) -> None:
        """Say so where a local domain is in another class, too."""
        await self._warn_if_listed(domain, self._mydestination, (self.virtual_alias, self.virtual_mailbox))

    async def _warn_if_listed(self, domain: str, chosen: DomainList, others: tuple[DomainList, ...]) -> None:
        folded = fold_address(domain)
        for other in others:
            if not other.empty and await self._listed(other, folded):
                self._log.warning(f"do not list domain {domain} in BOTH {chosen.parameter} and {other.parameter}")

    async def _listed(self, domains: DomainList, folded: str) -> bool:
        try:
            return await domains.matches(folded)
        except LookupFailed:
            self._log.warning(f"{domains.parameter} lookup failure")
            raise


class Transports:
    """What main.cf says about the way out, for regular mail or (prefix "address_verify_") for probes."""

    __slots__ = (
        "_by_class",
        "_delimiters",
        "_log",
        "_null_keys",
        "_relayhost",
        "_sender_relayhosts",
        "_sender_transports",
        "_texts",
    )

    def __init__(self, settings: Settings, log: DaemonLog, prefix: str = "") -> None:
        self._log = log
        self._delimiters = settings.text("recipient_delimiter")
        self._by_class = {
            AddressClass.LOCAL: f"{prefix}local_transport",
            AddressClass.VIRTUAL_MAILBOX: f"{prefix}virtual_transport",
            AddressClass.RELAY: f"{prefix}relay_transport",
            AddressClass.DEFAULT: f"{prefix}default_transport",
        }
        self._texts = {kind: settings.text(name) for kind, name in self._by_class.items()}
        self._relayhost = settings.text(f"{prefix}relayhost")
        self._sender_relayhosts = open_maps(settings, f"{prefix}sender_dependent_relayhost_maps")
        self._sender_transports = open_maps(settings, f"{prefix}sender_dependent_default_transport_maps")
        self._null_keys = {
            id(self._sender_relayhosts): settings.text("empty_address_relayhost_maps_lookup_key"),
            id(self._sender_transports): settings.text("empty_address_default_transport_maps_lookup_key"),
        }

    async def route(self, kind: AddressClass, domain: str, sender: str) -> Route:
        """Transport and next hop of a class. Raises LookupFailed."""
        transport, nexthop = self._texts[kind], domain
        if kind is AddressClass.DEFAULT:
            transport = await self._for_sender(self._sender_transports, sender) or transport
        if kind in {AddressClass.DEFAULT, AddressClass.RELAY}:
            nexthop = await self._for_sender(self._sender_relayhosts, sender) or self._default_hop(domain)
        name, _, destination = transport.partition(":")
        if not name:
            self._log.warning(f"parameter {self._by_class[kind]}: null transport is not allowed")
            raise LookupFailed(self._by_class[kind], "null transport")
        return Route(name, destination or nexthop)

    def _default_hop(self, domain: str) -> str:
        return self._relayhost or domain

    async def _for_sender(self, maps: Maps, sender: str) -> str:
        """What a table says for the sender; "" where the defaults hold (nothing found, or DUNNO)."""
        if maps.empty:
            return ""
        if sender:
            found = await find_address(maps, sender, delimiters=self._delimiters)
            value = found.value if found is not None else None
        else:
            value = await maps.find(self._null_keys[id(maps)])
        if value is None or value.upper() == "DUNNO":
            return ""
        if not value:
            self._log.warning(f"{', '.join(maps.specs)}: ignoring null lookup result for {sender}")
        return value
