"""smtpd behind a load balancer that names the client first (smtpd_upstream_proxy_protocol = haproxy).

# Differs from Postfix: the header may come in several pieces, and posthouse_upstream_proxy_networks says who may send
# one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError, LookupFailed, ProtocolError
from posthouse.lookup.match_list import AddressList
from posthouse.maillog import smtpd as lines
from posthouse.protocols.haproxy import ProxyHeader, parse, what_is_missing
from posthouse.protocols.smtp_server import refuse
from posthouse.receive.smtpd.arrival import client_shown, endpoint, greet
from posthouse.receive.smtpd.session import Session

if TYPE_CHECKING:
    from posthouse.receive.smtpd.service import SmtpdService

_SUPPORTED = "haproxy"
_FAMILIES = {"ipv4": frozenset((4,)), "ipv6": frozenset((6,)), "all": frozenset((4, 6))}


class UpstreamProxy:
    """Which proxies are believed, and how long they may take (s)."""

    def __init__(self, settings: Settings) -> None:
        self.timeout = settings.seconds("smtpd_upstream_proxy_timeout")
        self.families = frozenset[int]().union(*(_FAMILIES.get(word, ()) for word in settings.items("inet_protocols")))
        self._networks = AddressList(settings, "posthouse_upstream_proxy_networks")

    def believes(self, address: str) -> bool:
        """Whether that host may name others. Raises LookupFailed."""
        return self._networks.empty or self._networks.contains(address=address)


def open_upstream_proxy(settings: Settings) -> UpstreamProxy | None:
    """None where clients connect directly. Raises ConfigError for a protocol that nobody knows."""
    protocol = settings.text("smtpd_upstream_proxy_protocol")
    if not protocol:
        return None
    if protocol != _SUPPORTED:
        text = f"unsupported smtpd_upstream_proxy_protocol value: {protocol} (there is {_SUPPORTED})"
        raise ConfigError(text, parameter="smtpd_upstream_proxy_protocol")
    return UpstreamProxy(settings)


class ProxiedSession(Session):
    """A session that begins when its proxy has said for whom it comes."""

    __slots__ = ("_proxy", "_waits")

    def __init__(self, service: SmtpdService, proxy: UpstreamProxy) -> None:
        super().__init__(service)
        self._proxy = proxy
        self._waits = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.service.opened(self)
        self._busy = False
        self.deadline = self.service.loop.time() + self._proxy.timeout
        address, _ = endpoint(transport.get_extra_info("peername"))
        try:
            is_believed = self._proxy.believes(address)
        except LookupFailed as failed:
            self.log.warning(str(failed))
            is_believed = False
        if not is_believed:
            self._give_up(f"{address} is not in posthouse_upstream_proxy_networks")

    def data_received(self, data: bytes) -> None:
        if not self._waits or self.closing:
            super().data_received(data)
            return
        self._buffer += data
        try:
            header = parse(self._buffer, self._proxy.families)
        except ProtocolError as bad:
            self._give_up(f"{bad}: {lines.escaped(self._buffer)}")
            return
        if header is not None:
            self._begin(header)

    def eof_received(self) -> bool:
        if self._waits and not self.closing:
            self._give_up_half("EOF")
        return super().eof_received()

    def time_out(self) -> None:
        """The proxy's time is over, or the client's."""
        if self._waits:
            self._give_up_half("timeout error")
        else:
            super().time_out()

    def _begin(self, header: ProxyHeader) -> None:
        self._waits = False
        self._busy = True  # until the greeting
        self._buffer = self._buffer[header.length :]
        self.touch()
        client, server = header.client, header.server
        if self.transport is not None:
            client = client or self.transport.get_extra_info("peername")
            server = server or self.transport.get_extra_info("sockname")
        self.run(greet(self, client, server), None)

    def _give_up_half(self, why: str) -> None:
        if self._buffer:
            why = f"{what_is_missing(self._buffer)}: {lines.escaped(self._buffer)}"
        self._give_up(why)

    def _give_up(self, why: str) -> None:
        """Nobody knows who is there, so that nobody is let in."""
        self._waits = False
        self.log.warning(lines.no_proxy_header(why))
        if self.transport is not None:
            self.request.client_address = endpoint(self.transport.get_extra_info("peername"))[0] or "unknown"
        self.client = client_shown(self)
        text = f"{self.service.rules.myhostname} Server local error"
        self.end(refuse(421, "4.3.0", text, closes=True), lines.connect(self.client))
