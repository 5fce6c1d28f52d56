"""Which hosts may take the mail for a next hop: MX records, addresses, and never this host itself (RFC 5321, 5.1)."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket

from posthouse.config.settings import Settings
from posthouse.deliver.smtp.nexthop import NextHop
from posthouse.deliver.smtp.peer import Peer
from posthouse.lookup.dns_reply_filter import DnsReplyFilter, FilteredResolver
from posthouse.lookup.maps import open_maps
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.status import Status
from posthouse.rewrite.own_addresses import OwnAddresses
from posthouse.services.house import House
from posthouse.system.dns import Resolver
from posthouse.system.dns_answers import DROPS_ALL, Answer, DnsFailed, NotFound
from posthouse.system.log import DaemonLog

SMTP_PORT = 25


class HostFinder:
    """Finds peers by the settings of one smtp or lmtp service (prefix)."""

    def __init__(self, settings: Settings, house: House, prefix: str, log: DaemonLog) -> None:
        self._log, self._lmtp = log, prefix == "lmtp"
        self._dns = self._filtered(settings, house.dns, f"{prefix}_dns_reply_filter")
        self._own = OwnAddresses(settings)
        self._host_name = settings.text("myhostname")
        self._queue_directory = settings.text("queue_directory")
        self._port = settings.text("lmtp_tcp_port") if self._lmtp else settings.text("smtp_tcp_port")
        protocols = {word.lower() for word in settings.items("inet_protocols")}
        self._families = {"ipv4", "ipv6"} if "all" in protocols else protocols
        self._uses_dns = settings.text(f"{prefix}_dns_support_level") != "disabled" and not settings.flag(
            "disable_dns_lookups"
        )
        self._lookup_order = settings.items(f"{prefix}_host_lookup")
        self._address_limit = settings.integer(f"{prefix}_mx_address_limit")
        self._preference = settings.text(f"{prefix}_address_preference").lower()
        self._shuffles = settings.flag(f"{prefix}_randomize_addresses")
        self._ignores_mx_errors = settings.flag("ignore_mx_lookup_error")
        self._defers_without_address = settings.flag(f"{prefix}_defer_if_no_mx_address_found")

    def _filtered(self, settings: Settings, dns: Resolver, parameter: str) -> Resolver | FilteredResolver:
        maps = open_maps(settings, parameter)
        return dns if maps.empty else FilteredResolver(dns, DnsReplyFilter(parameter, maps, self._log))

    async def peers(self, hop: NextHop) -> list[Peer] | Deferred | Bounced:
        """The hosts in the order to try, or why there are none."""
        if hop.path:
            path = hop.path if hop.path.startswith("/") else f"{self._queue_directory}/{hop.path}"
            return [Peer(self._host_name, hop.path, 0, path=path)]
        port = self._port_number(hop.port or self._port)
        if port is None:
            return _deferred("4.3.5", f"unknown service: {hop.port}/tcp")
        literal = _literal(hop.host)
        if literal:
            found: list[Peer] | Deferred | Bounced = [Peer(hop.host, literal, port)]
        elif hop.by_mx and self._uses_dns:
            found = await self._by_mx(hop.host, port)
        else:
            found = await self._by_address(hop.host, port)
        return self._without_own(found, hop.host) if isinstance(found, list) and port == SMTP_PORT else found

    async def _by_mx(self, domain: str, port: int) -> list[Peer] | Deferred | Bounced:
        answer = await self._dns.mx(domain)
        match answer:
            case Answer():
                exchangers = answer.exchangers
            case DnsFailed(reason=reason) if not self._ignores_mx_errors or reason == DROPS_ALL:
                return _dns_failure(answer)
            case _:
                return await self._by_address(domain, port)
        if len(exchangers) == 1 and not exchangers[0].host:
            return _bounced("5.1.0", f"Domain {domain} does not accept mail (nullMX)")
        for mx in exchangers:
            if _literal(mx.host):
                self._log.warning(f"numeric domain name in resource data of MX record for {domain}: {mx.host}")
        results = await asyncio.gather(*(self._by_address(mx.host, port, mx.preference) for mx in exchangers))
        found = [peer for result in results if isinstance(result, list) for peer in result]
        if found:
            return self._in_order(found)
        self._log.warning(f"no MX host for {domain} has a valid address record")
        return self._no_addresses([result for result in results if not isinstance(result, list)])

    def _no_addresses(self, results: list[Deferred | Bounced]) -> Deferred | Bounced:
        soft = next((result for result in results if isinstance(result, Deferred)), None)
        if soft is not None:
            return soft
        status = results[-1].status
        return _deferred("4.4.4", status.text) if self._defers_without_address else _bounced(status.dsn, status.text)

    async def _by_address(self, host: str, port: int, preference: int = 0) -> list[Peer] | Deferred | Bounced:
        """The addresses of one host."""
        literal = _literal(host)
        if literal:
            return [Peer(host, literal, port, preference=preference)]
        if not self._uses_dns or self._lookup_order[:1] == ("native",):
            return await self._native(host, port, preference)
        answer = await self._dns.addresses(host, self._families)
        match answer:
            case Answer():
                return self._in_order([Peer(host, text, port, preference=preference) for text in answer.texts])
            case DnsFailed():
                return _dns_failure(answer)
            case NotFound():
                if "native" in self._lookup_order:
                    return await self._native(host, port, preference)
                return _bounced("5.4.4", answer.text)
        raise AssertionError(answer)

    async def _native(self, host: str, port: int, preference: int) -> list[Peer] | Deferred | Bounced:
        """By the system's own look-up, /etc/hosts included (smtp_host_lookup = native)."""
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            text = f"unable to look up host {host}: {error.strerror}"
            return _deferred("4.4.3", text) if error.errno == socket.EAI_AGAIN else _bounced("5.4.4", text)
        kinds = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
        found = [str(row[4][0]) for row in rows if kinds.get(row[0]) in self._families]
        if not found:
            return _bounced("5.4.4", f"unable to look up host {host}: no address of a usable protocol")
        return [Peer(host, address, port, preference=preference) for address in dict.fromkeys(found)]

    def _in_order(self, peers: list[Peer]) -> list[Peer]:
        """By preference; equals at random, or the preferred protocol first; at most smtp_mx_address_limit."""
        peers = list(peers)
        if self._shuffles:
            random.shuffle(peers)
        if self._preference in ("ipv4", "ipv6"):
            peers.sort(key=lambda peer: (":" in peer.address) != (self._preference == "ipv6"))
        peers.sort(key=lambda peer: peer.preference)
        return peers[: self._address_limit] if self._address_limit else peers

    def _without_own(self, peers: list[Peer], domain: str) -> list[Peer] | Bounced:
        """Hosts that are not better than we are ourselves would only send the mail back."""
        own = [peer.preference for peer in peers if self._is_own(peer.address)]
        if not own or self._lmtp:
            return peers
        better = [peer for peer in peers if peer.preference < min(own)]
        return better or _bounced("5.4.6", f"mail for {domain} loops back to myself")

    def _is_own(self, address: str) -> bool:
        return self._own.has_literal(f"[IPv6:{address}]" if ":" in address else f"[{address}]")

    def _port_number(self, port: str) -> int | None:
        if port.isdigit():
            return int(port)
        try:
            return socket.getservbyname(port, "tcp")
        except OSError:
            return None


def _literal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


def _dns_failure(answer: DnsFailed) -> Deferred:
    return _deferred("4.7.0" if answer.reason == DROPS_ALL else "4.4.3", answer.text)


def _deferred(dsn: str, text: str) -> Deferred:
    return Deferred(Status(dsn, 0, text))


def _bounced(dsn: str, text: str) -> Bounced:
    return Bounced(Status(dsn, 0, text))
