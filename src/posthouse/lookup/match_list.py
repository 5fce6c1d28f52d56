"""Lists of domains, hosts and networks: mydestination, mynetworks, relay_domains (postconf(5), mynetworks).

Items: a name, .domain, an address, network/mask, [2001:db8::]/32, type:table, /file/name, and any of them after "!",
which excludes. The first item that matches decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import domain_keys
from posthouse.lookup.network_set import BadNetwork, NetworkSet, address_bits, parse_network
from posthouse.lookup.table import Table, open_table

if TYPE_CHECKING:
    from posthouse.config.settings import Settings

_NESTING_LIMIT = 20
_REMEMBERED_LIMIT = 4096


class _Block(Protocol):
    """Items of one sign that stand together."""

    negated: bool

    def matches(self, name: str, address: str) -> bool: ...


class _Names:
    """Plain names. A parent domain matches as "domain" (parents_match) or as ".domain"."""

    def __init__(self, *, negated: bool, parents_match: bool) -> None:
        self.negated, self._parents_match, self._names = negated, parents_match, set[str]()

    def add(self, pattern: str) -> None:
        self._names.add(_fold(pattern))

    def matches(self, name: str, address: str) -> bool:  # noqa: ARG002
        if not name:
            return False
        if name in self._names:
            return True
        return any(key in self._names for key in domain_keys(name, parents_match=self._parents_match))


class _Strings(_Names):
    """Names that are compared as a whole."""

    def matches(self, name: str, address: str) -> bool:  # noqa: ARG002
        return name in self._names


class _Networks:
    """Addresses and networks."""

    def __init__(self, *, negated: bool) -> None:
        self.negated, self._networks = negated, NetworkSet()

    def add(self, pattern: str) -> None:
        self._networks.add(parse_network(pattern))

    def matches(self, name: str, address: str) -> bool:  # noqa: ARG002
        bits = address_bits(address) if address else None
        return bits is not None and self._networks.contains(*bits)


class _Faulty:
    """An item that cannot be understood: whether the list matches cannot be said, if it comes this far."""

    negated = False

    def __init__(self, parameter: str, text: str) -> None:
        self._parameter, self._text = parameter, text

    def matches(self, name: str, address: str) -> bool:  # noqa: ARG002
        raise LookupFailed(self._parameter, self._text)


class _InTable:
    """type:table: a value, whatever it says, means a match."""

    def __init__(self, table: Table, *, negated: bool, parents_match: bool | None) -> None:
        self.table, self.negated, self._parents_match = table, negated, parents_match

    def _keys(self, name: str, address: str) -> Iterator[str]:
        if name:
            if self._parents_match is None or self.table.has_patterns:
                yield name
            else:
                yield from domain_keys(name, parents_match=self._parents_match)
        if address:
            yield address

    def matches(self, name: str, address: str) -> bool:
        return any(self.table.lookup(key) is not None for key in self._keys(name, address))

    async def find(self, name: str, address: str) -> bool:
        for key in self._keys(name, address):
            if await self.table.find(key) is not None:
                return True
        return False


class MatchList:
    """A list of domains (mydestination, relay_domains): items match a name, and subdomains as the parameter says.

    parent_domain_matches_subdomains names the parameters whose items match their subdomains too; the items of others
    must be written ".domain" for that.
    """

    whole_names = False
    takes_names = True
    takes_addresses = False

    def __init__(self, settings: Settings, parameter: str, items: Iterable[str] | None = None) -> None:
        """items: in place of the parameter's own value; parameter then only says how parents match."""
        self.parameter = parameter
        self._parents_match = parameter in settings.items("parent_domain_matches_subdomains")
        self._settings = settings
        self._blocks: list[_Block] = []
        for item in settings.items(parameter) if items is None else items:
            self._add(item, negated=False, depth=0)
        self.empty = not self._blocks
        self.blocking = any(isinstance(block, _InTable) and block.table.blocking for block in self._blocks)
        self._remembers = not any(isinstance(block, (_InTable, _Faulty)) for block in self._blocks)
        self._remembered: dict[tuple[str, str], bool] = {}

    def contains(self, name: str = "", address: str = "") -> bool:
        """Whether the first item that matches includes. Raises LookupFailed where a table or an item fails."""
        answer = self._remembered.get((name, address))
        if answer is not None:
            return answer
        folded, address = _fold(name), address.lower()
        answer = self._first_match(folded, address)
        if self._remembers:
            if len(self._remembered) >= _REMEMBERED_LIMIT:
                self._remembered.clear()
            self._remembered[name, address] = answer
        return answer

    def _first_match(self, name: str, address: str) -> bool:
        for block in self._blocks:
            if block.matches(name, address):
                return not block.negated
        return False

    async def matches(self, name: str = "", address: str = "") -> bool:
        """contains, without holding up other work."""
        if not self.blocking:
            return self.contains(name, address)
        folded, address = _fold(name), address.lower()
        for block in self._blocks:
            found = block.find(folded, address) if isinstance(block, _InTable) and block.table.blocking else None
            if await found if found is not None else block.matches(folded, address):
                return not block.negated
        return False

    def _add(self, item: str, *, negated: bool, depth: int) -> None:
        while item.startswith("!"):
            negated, item = not negated, item[1:].lstrip()
        if not item:
            self._blocks.append(_Faulty(self.parameter, "no pattern after '!'"))
        elif item.startswith("/"):
            self._add_file(item, negated=negated, depth=depth)
        elif ":" in item and not item.startswith("["):
            parents = None if self.whole_names else self._parents_match
            table = open_table(item, self._settings)
            self._blocks.append(_InTable(table, negated=negated, parents_match=parents))
        else:
            self._add_pattern(item, negated=negated)

    def _add_file(self, path: str, *, negated: bool, depth: int) -> None:
        if depth >= _NESTING_LIMIT:
            self._blocks.append(_Faulty(self.parameter, f"open file {path}: files name each other"))
            return
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().split("\n")
        except OSError as error:
            self._blocks.append(_Faulty(self.parameter, f"open file {path}: {error.strerror}"))
            return
        for line in lines:
            if line.lstrip().startswith("#"):
                continue
            for item in line.replace(",", " ").split():
                self._add(item, negated=negated, depth=depth + 1)

    def _add_pattern(self, pattern: str, *, negated: bool) -> None:
        is_network = pattern.startswith("[") or "/" in pattern or address_bits(pattern) is not None
        last = self._blocks[-1] if self._blocks else None
        if self.takes_addresses and is_network:
            if not isinstance(last, _Networks) or last.negated != negated:
                last = _Networks(negated=negated)
                self._blocks.append(last)
            try:
                last.add(pattern)
            except BadNetwork as problem:
                self._blocks.append(_Faulty(self.parameter, str(problem)))
            return
        if not self.takes_names:
            self._blocks.append(_Faulty(self.parameter, f'bad address pattern: "{pattern}"'))
            return
        if not isinstance(last, _Names) or last.negated != negated:
            kind = _Strings if self.whole_names else _Names
            last = kind(negated=negated, parents_match=self._parents_match)
            self._blocks.append(last)
        last.add(pattern)


class StringList(MatchList):
    """Items match the whole string, whatever case (authorized_submit_users and the like)."""

    whole_names = True


class HostList(MatchList):
    """Items match a host's name or its address (mynetworks, smtpd_authorized_xforward_hosts, debug_peer_list)."""

    takes_addresses = True


class AddressList(MatchList):
    """Items match addresses only (permit_mx_backup_networks)."""

    takes_names = False
    takes_addresses = True


def _fold(text: str) -> str:
    return text.lower() if text.isascii() else text.casefold()
