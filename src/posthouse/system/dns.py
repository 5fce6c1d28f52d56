"""Asks the DNS without blocking, and remembers the answers for as long as they are good (resolver(5) is the system's).

Names of clients come from /etc/hosts first, as getnameinfo(3) does it for smtpd(8).
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename

from posthouse.system.dns_answers import Answer, ClientNames, DnsFailed, Missing, Mx, NotFound, Result
from posthouse.system.dns_transport import ask_over_tcp, ask_over_udp
from posthouse.system.hosts_file import HostsFile
from posthouse.system.resolv_conf import ResolvConf

__all__ = ["Answer", "ClientNames", "DnsFailed", "Missing", "Mx", "NotFound", "Resolver", "Result"]

_MAX_CACHED = 20000
_MAX_TTL, _MAX_NEGATIVE_TTL, _CLIENT_TTL = 3600, 300, 600
_HOST_NAME = re.compile(r"(?:[\w](?:[\w-]{0,61}\w)?\.)*\w(?:[\w-]{0,61}\w)?\.?")
_UDP_PAYLOAD = 1232  # fits into every path without fragments (DNS flag day 2020)
_MAX_ALIASES = 16
_UNUSABLE = "Non-recoverable error"
_MALFORMED = "Malformed or unexpected name server reply"


class Resolver:
    """One per worker. All answers are values; nothing is raised for what the DNS says."""

    def __init__(self, resolv_conf: str = "/etc/resolv.conf", hosts: str = "/etc/hosts") -> None:
        self._conf = ResolvConf(resolv_conf)
        self._hosts = HostsFile(hosts)
        self._cache: dict[tuple[str, str], tuple[float, Result]] = {}
        self._clients: dict[str, tuple[float, ClientNames]] = {}
        self._asking: dict[tuple[str, str], asyncio.Future[Result | None]] = {}

    async def lookup(self, name: str, record_type: str) -> Result:
        """Records of any type. The same question asked twice at a time goes out once."""
        key = (name.lower().rstrip("."), record_type)
        while True:
            cached = self._cache.get(key)
            if cached is not None and cached[0] > time.monotonic():
                return cached[1]
            under_way = self._asking.get(key)
            if under_way is None:
                return await self._ask_for_all(key, name, record_type)
            result = await asyncio.shield(under_way)
            if result is not None:
                return result

    async def mx(self, domain: str) -> Result:
        """Mail exchangers."""
        return await self.lookup(domain, "MX")

    async def a(self, name: str) -> Result:
        return await self.lookup(name, "A")

    async def aaaa(self, name: str) -> Result:
        return await self.lookup(name, "AAAA")

    async def ns(self, domain: str) -> Result:
        return await self.lookup(domain, "NS")

    async def txt(self, name: str) -> Result:
        return await self.lookup(name, "TXT")

    async def ptr(self, address: str) -> Result:
        """The names of an IP address."""
        return await self.lookup(dns.reversename.from_address(address).to_text(omit_final_dot=True), "PTR")

    async def addresses(self, name: str, inet_protocols: Collection[str] = ("ipv4", "ipv6")) -> Result:
        """IPv4 and IPv6 addresses, as far as inet_protocols has them; a failure only where neither gives any."""
        return await addresses(self.lookup, name, inet_protocols)

    async def client_names(self, address: str, *, peername_lookup: bool = True) -> ClientNames:
        """The names of a client. peername_lookup False (smtpd_peername_lookup = no): nobody is asked."""
        cached = self._clients.get(address)
        now = time.monotonic()
        if cached is not None and cached[0] > now:
            return cached[1]
        if not peername_lookup:
            return ClientNames("unknown", "unknown", 5, 5)
        names, ttl = await self._find_client_names(address)
        _keep(self._clients, address, (now + ttl, names))
        return names

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()
        self._clients.clear()

    async def _find_client_names(self, address: str) -> tuple[ClientNames, float]:
        name, ttl = self._hosts.name_of(address, time.monotonic()), 5.0
        if not name:
            result = await self.ptr(address)
            if not isinstance(result, Answer):
                code = 4 if isinstance(result, DnsFailed) else 5
                return ClientNames("unknown", "unknown", code, code), _good_for(result)
            name, ttl = result.texts[0], _good_for(result)
        problem = _not_a_host_name(name)
        if problem:
            return ClientNames("unknown", "unknown", 5, 5, problem), ttl
        confirmed, confirmed_ttl = await self._confirm(name, address)
        return confirmed, min(ttl, confirmed_ttl)

    async def _confirm(self, name: str, address: str) -> tuple[ClientNames, float]:
        """Ask the name for its addresses; the client's must be among them."""
        warning = f"hostname {name} does not resolve to address {address}"
        addresses, ttl = self._hosts.addresses_of(name, time.monotonic()), 5.0
        if not addresses:
            result = await self.lookup(name, "AAAA" if ":" in address else "A")
            ttl = _good_for(result)
            match result:
                case DnsFailed():
                    return ClientNames("unknown", name, 4, 2, f"{warning}: Temporary failure in name resolution"), ttl
                case NotFound(why=why):
                    words = (
                        "Name or service not known" if why is Missing.NO_NAME else "No address associated with hostname"
                    )
                    return ClientNames("unknown", name, 5, 2, f"{warning}: {words}"), ttl
                case Answer():
                    addresses = [str(ipaddress.ip_address(text)) for text in result.texts]
        if str(ipaddress.ip_address(address)) not in addresses:
            return ClientNames("unknown", name, 5, 2, warning), ttl
        return ClientNames(name, name, 2, 2), ttl

    async def _ask_for_all(self, key: tuple[str, str], name: str, record_type: str) -> Result:
        """Ask, and give the answer to all who wait for the same."""
        under_way: asyncio.Future[Result | None] = asyncio.get_running_loop().create_future()
        self._asking[key] = under_way
        result: Result | None = None
        try:
            result = await self._ask(name, record_type)
            ttl = _good_for(result)
            if ttl > 0:
                _keep(self._cache, key, (time.monotonic() + ttl, result))
            return result
        finally:
            del self._asking[key]
            under_way.set_result(result)

    async def _ask(self, name: str, record_type: str) -> Result:
        try:
            question = dns.name.from_text(name)
            query = dns.message.make_query(question, record_type, use_edns=0, payload=_UDP_PAYLOAD)
            query.flags |= dns.flags.AD
            wire = query.to_wire()
        except (dns.exception.DNSException, UnicodeError):
            return NotFound(name, record_type, Missing.NO_NAME)
        servers = self._conf.servers(time.monotonic())
        failure = DnsFailed(name, record_type)
        for attempt in range(servers.attempts):
            for server in servers.addresses:
                try:
                    reply = await self._exchange(server, wire, servers.timeout * (attempt + 1))
                except (OSError, TimeoutError, EOFError):
                    continue
                except dns.exception.DNSException:
                    failure = DnsFailed(name, record_type, _MALFORMED)
                    continue
                if not reply.question or reply.question[0].name != question:
                    continue
                if reply.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                    return _result(name, record_type, question, reply)
                if reply.rcode() != dns.rcode.SERVFAIL:
                    failure = DnsFailed(name, record_type, _UNUSABLE)
                wire = random.getrandbits(16).to_bytes(2, "big") + wire[2:]
            if failure.reason == _UNUSABLE:
                break
        return failure

    @staticmethod
    async def _exchange(server: tuple[str, int], wire: bytes, seconds: float) -> dns.message.Message:
        data = await ask_over_udp(server, wire, seconds)
        if len(data) > 2 and data[2] & 2:  # TC: the answer did not fit
            data = await ask_over_tcp(server, wire, seconds)
        return dns.message.from_wire(data, ignore_trailing=True)


async def addresses(
    lookup: Callable[[str, str], Awaitable[Result]], name: str, inet_protocols: Collection[str]
) -> Result:
    """IPv4 and IPv6 addresses by a resolver's lookup, as Resolver.addresses gives them."""
    found: list[str | Mx] = []
    trouble: NotFound | DnsFailed | None = None
    secure, ttl, final = True, _MAX_TTL, name
    for record_type in _address_types(inet_protocols):
        result = await lookup(name, record_type)
        if isinstance(result, Answer):
            found += result.records
            secure, ttl, final = secure and result.secure, min(ttl, result.ttl), result.name
        elif trouble is None or isinstance(result, DnsFailed):
            trouble = result
    if found or trouble is None:
        return Answer(final, "A", tuple(found), ttl, secure)
    return trouble


def _keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= _MAX_CACHED:
        del cache[next(iter(cache))]
    cache[key] = value


def _good_for(result: Result) -> float:
    match result:
        case Answer(ttl=ttl):
            return min(ttl, _MAX_TTL)
        case NotFound(ttl=ttl):
            return min(ttl, _MAX_NEGATIVE_TTL)
        case _:
            return 0


def _address_types(inet_protocols: Collection[str]) -> tuple[str, ...]:
    if "all" in inet_protocols:
        return "A", "AAAA"
    return tuple(kind for protocol, kind in (("ipv4", "A"), ("ipv6", "AAAA")) if protocol in inet_protocols) or ("A",)


def _not_a_host_name(name: str) -> str:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "" if _HOST_NAME.fullmatch(name) and len(name) < 256 else f"malformed hostname: {name[:100]}"
    return f"numeric hostname: {name}"


def _result(name: str, record_type: str, question: dns.name.Name, reply: dns.message.Message) -> Result:
    """Follow the aliases in the reply to the records."""
    wanted = dns.rdatatype.from_text(record_type)
    owner, ttl = question, _MAX_TTL
    sets = {(rrset.name, rrset.rdtype): rrset for rrset in reply.answer}
    for _ in range(_MAX_ALIASES):
        found = sets.get((owner, wanted))
        if found is not None:
            secure = bool(reply.flags & dns.flags.AD)
            records = tuple(_record(rdata, wanted) for rdata in found)
            return Answer(_host(owner), record_type, records, min(ttl, found.ttl), secure)
        alias = sets.get((owner, dns.rdatatype.CNAME))
        if alias is None:
            break
        owner, ttl = alias[0].target, min(ttl, alias.ttl)
    why = Missing.NO_NAME if reply.rcode() == dns.rcode.NXDOMAIN else Missing.NO_DATA
    return NotFound(name, record_type, why, min(ttl, _negative_ttl(reply)))


def _negative_ttl(reply: dns.message.Message) -> int:
    """RFC 2308: the lesser of the SOA's TTL and its last field; without a SOA it is not kept."""
    for rrset in reply.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return int(min(rrset.ttl, rrset[0].minimum))
    return 0


def _record(rdata: Any, record_type: dns.rdatatype.RdataType) -> str | Mx:
    match record_type:
        case dns.rdatatype.MX:
            return Mx(rdata.preference, _host(rdata.exchange))
        case dns.rdatatype.A | dns.rdatatype.AAAA:
            return str(rdata.address)
        case dns.rdatatype.PTR | dns.rdatatype.NS | dns.rdatatype.CNAME:
            return _host(rdata.target)
        case dns.rdatatype.TXT:
            return b"".join(rdata.strings).decode("utf-8", "replace")
        case _:
            return str(rdata.to_text())


def _host(name: dns.name.Name) -> str:
    return "" if name == dns.name.root else name.to_text(omit_final_dot=True)
