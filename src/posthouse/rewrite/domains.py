"""Lists of domains that decide an address class: mydestination, virtual_alias_domains ... (postconf(5))."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.lookup.match_list import MatchList


class DomainList:
    """One such parameter. Where it holds only plain names, asking costs one look into a set."""

    __slots__ = ("_list", "_names", "_parents", "parameter")

    def __init__(self, settings: Settings, parameter: str) -> None:
        self.parameter = parameter
        items = settings.items(parameter)
        self._parents = parameter in settings.items("parent_domain_matches_subdomains")
        plain = all(not item.startswith(("!", "/", ".")) and ":" not in item for item in items)
        self._names = frozenset(item.lower() for item in items) if plain else frozenset()
        self._list = None if plain else MatchList(settings, parameter)

    async def matches(self, domain: str) -> bool:
        """Whether the (folded) domain is listed. Raises LookupFailed when a table of the list cannot answer."""
        if self._list is not None:
            return await self._list.matches(domain)
        if domain in self._names:
            return True
        return bool(self._parents and self._names) and self._has_listed_parent(domain)

    def _has_listed_parent(self, domain: str) -> bool:
        position = domain.find(".")
        while position >= 0:
            if domain[position + 1 :] in self._names:
                return True
            position = domain.find(".", position + 1)
        return False

    @property
    def empty(self) -> bool:
        return self._list is None and not self._names
