"""smtp_dns_reply_filter and its kin: records that a table says to ignore do not count (postconf(5))."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from posthouse.errors import LookupFailed
from posthouse.lookup.maps import Maps
from posthouse.maillog import dns as lines
from posthouse.system.dns import Resolver, addresses
from posthouse.system.dns_answers import BAD_FILTER, DROPS_ALL, Answer, DnsFailed, Mx, Result
from posthouse.system.log import DaemonLog

_HOST_TYPES = {"NS", "PTR", "CNAME"}


class _BadAction(Exception):
    """The table does not say what to do."""


class DnsReplyFilter:
    """The tables of a parameter, for questions about mail servers and domains."""

    def __init__(self, parameter: str, maps: Maps, log: DaemonLog) -> None:
        self._parameter, self._maps, self._log = parameter, maps, log

    async def apply(self, result: Result) -> Result:
        """What is left of an answer. DnsFailed where nothing is, and where the tables cannot tell."""
        if not isinstance(result, Answer) or self._maps.empty:
            return result
        try:
            kept = tuple([record for record in result.records if not await self._ignores(result, record)])
        except _BadAction:
            return DnsFailed(result.name, result.type, BAD_FILTER)
        if not kept:
            return DnsFailed(result.name, result.type, DROPS_ALL)
        return result if len(kept) == len(result.records) else replace(result, records=kept)

    async def _ignores(self, answer: Answer, record: str | Mx) -> bool:
        text = _as_text(answer, record)
        try:
            action = await self._maps.find(text)
        except LookupFailed as failed:
            self._log.warning(str(failed))
            raise _BadAction from failed
        if action is None:
            return False
        if action.strip().upper() != "IGNORE":
            self._log.warning(lines.unknown_action(self._parameter, action))
            raise _BadAction
        self._log.info(lines.ignoring(text))
        return True


class FilteredResolver:
    """A resolver seen through a filter."""

    def __init__(self, resolver: Resolver, dns_reply_filter: DnsReplyFilter) -> None:
        self._resolver, self._filter = resolver, dns_reply_filter

    async def lookup(self, name: str, record_type: str) -> Result:
        """Records of any type."""
        return await self._filter.apply(await self._resolver.lookup(name, record_type))

    async def mx(self, domain: str) -> Result:
        """Mail exchangers."""
        return await self.lookup(domain, "MX")

    async def addresses(self, name: str, inet_protocols: Collection[str]) -> Result:
        """IPv4 and IPv6 addresses, as far as inet_protocols has them."""
        return await addresses(self.lookup, name, inet_protocols)


def _as_text(answer: Answer, record: str | Mx) -> str:
    """Name, ttl, class, type, preference and value; host names with the dot at their end."""
    if isinstance(record, Mx):
        value = f"{record.preference} {record.host}."
    else:
        value = f"{record}." if answer.type in _HOST_TYPES else record
    return f"{answer.name}. {answer.ttl} IN {answer.type} {value}"
