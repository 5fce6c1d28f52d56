"""What restrictions may use: settings, tables, match lists, DNS, rewriting; opened once per view of the settings."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from posthouse.config.compatibility import relies_on_old_default
from posthouse.config.settings import Settings
from posthouse.lookup.dns_reply_filter import DnsReplyFilter
from posthouse.lookup.maps import Maps, open_maps
from posthouse.lookup.match_list import AddressList, HostList, MatchList
from posthouse.mail.address import literal_address
from posthouse.policy.tables import AccessTable
from posthouse.services.house import House

if TYPE_CHECKING:
    from posthouse.policy.evaluate import Rule
    from posthouse.policy.policy_servers import PolicyServers

_MAX_LISTS_IN_TABLES = 1000
_DNS_FILTER = "smtpd_dns_reply_filter"


class Means:
    """Shared by all sessions of a service."""

    def __init__(self, settings: Settings, house: House) -> None:
        self.settings, self.house = settings, house
        self.log = house.log(settings, "smtpd")
        self.soft_bounce = settings.flag("soft_bounce")
        self.access_parents_match = "smtpd_access_maps" in settings.items("parent_domain_matches_subdomains")
        self.mynetworks = HostList(settings, "mynetworks")
        self.own_hosts = _own_hosts(settings)
        self.relay_domains_are_old = relies_on_old_default(settings, "relay_domains")
        self.mydestination = MatchList(settings, "mydestination")
        self._myorigin = settings.text("myorigin").lower()
        self.dns_reply_filter = DnsReplyFilter(_DNS_FILTER, self.maps(_DNS_FILTER), self.log)
        self._backup_networks: AddressList | None = None
        self._tables: dict[str, AccessTable] = {}
        self._lists_in_tables: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._servers: PolicyServers | None = None
        self._own: frozenset[str] | None = None
        self.complained: dict[str, float] = {}  # DNS lists that do not answer us, and when we said so

    def code(self, parameter: str) -> int:
        """A reply code from the settings."""
        return self.settings.integer(parameter)

    def maps(self, parameter: str) -> Maps:
        """The tables of that parameter."""
        return open_maps(self.settings, parameter)

    def table(self, spec: str) -> AccessTable:
        """One table, named as type:name."""
        found = self._tables.get(spec)
        if found is None:
            found = self._tables[spec] = AccessTable(spec, self.settings)
        return found

    def rules_in_table(self, words: str, default_access: str) -> tuple[Rule, ...]:
        """A list of restrictions that a table gave as its answer. Raises ConfigError."""
        key = (words, default_access)
        found = self._lists_in_tables.get(key)
        if found is None:
            from posthouse.policy.build import build_words

            if len(self._lists_in_tables) >= _MAX_LISTS_IN_TABLES:
                self._lists_in_tables.clear()
            found = self._lists_in_tables[key] = build_words(self, words, default_access)
        return found

    def is_local_domain(self, domain: str) -> bool:
        """Whether a table's bare user name means this domain, too (myorigin, mydestination)."""
        folded = domain.lower()
        if folded == self._myorigin or self.mydestination.contains(folded):
            return True
        return domain.startswith("[") and literal_address(domain) in self.own_addresses()

    @property
    def backup_networks(self) -> AddressList:
        """permit_mx_backup_networks."""
        if self._backup_networks is None:
            self._backup_networks = AddressList(self.settings, "permit_mx_backup_networks")
        return self._backup_networks

    @property
    def policy_servers(self) -> PolicyServers:
        """The connections to policy servers."""
        if self._servers is None:
            from posthouse.policy.policy_servers import PolicyServers

            self._servers = PolicyServers(self.settings, self.log)
        return self._servers

    def address_kinds(self) -> tuple[str, ...]:
        """The DNS types of addresses that inet_protocols leaves."""
        protocols = self.settings.items("inet_protocols")
        kinds = (("ipv4", "A"), ("ipv6", "AAAA"))
        return tuple(kind for protocol, kind in kinds if "all" in protocols or protocol in protocols) or ("A",)

    def own_addresses(self) -> frozenset[str]:
        """inet_interfaces and proxy_interfaces as addresses."""
        if self._own is None:
            words = (*self.settings.items("inet_interfaces"), *self.settings.items("proxy_interfaces"))
            self._own = frozenset(_expand(words))
        return self._own

    async def close(self) -> None:
        """Close connections to policy servers."""
        if self._servers is not None:
            await self._servers.close()


def _own_hosts(settings: Settings) -> HostList | None:
    """Mynetworks as it would be at a higher compatibility_level, where it is the subnets by default of old."""
    if settings.is_set("mynetworks") or not relies_on_old_default(settings, "mynetworks_style"):
        return None
    return HostList(settings.with_overrides({"mynetworks_style": "host"}), "mynetworks")


def _expand(words: tuple[str, ...]) -> set[str]:
    from posthouse.config.networks import own_interfaces

    found: set[str] = set()
    for word in words:
        bare = word.strip("[]").lower()
        if bare == "all":
            found.update(str(interface.address) for interface in own_interfaces())
        elif bare in ("loopback-only", "localhost"):
            found.update(str(i.address) for i in own_interfaces() if i.address.is_loopback)
        else:
            try:
                found.add(str(ipaddress.ip_address(bare)))
            except ValueError:
                continue
    return found
