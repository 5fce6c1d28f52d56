r"""The PROXY protocol, versions 1 and 2: a load balancer names the client in front of what the client sends.

"PROXY TCP4 198.51.100.7 192.0.2.1 5555 25\r\n", or the same in binary. Source: the protocol's own specification.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from posthouse.errors import ProtocolError

V1_START = b"PROXY "
V2_START = b"\r\n\r\n\0\r\nQUIT\n"
LIMIT = 4096  # bytes of a header: addresses, and what the proxy says of TLS beside them
_V1_LIMIT = 512
_V2_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXIED = 0, 1
_TCP4, _TCP6 = 0x11, 0x21
_PORTS = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """length is in bytes. client and server are (address, port); None where the proxy speaks for itself (LOCAL)."""

    length: int
    client: tuple[str, str] | None = None
    server: tuple[str, str] | None = None


def parse(data: bytes, families: frozenset[int] = frozenset((4, 6))) -> ProxyHeader | None:
    """The header that data begins with; None while it is incomplete. families are the IP versions in use.

    Raises ProtocolError for what is no header.
    """
    if data.startswith(V2_START):
        return _parse_v2(data, families)
    if data.startswith(V1_START):
        return _parse_v1(data, families)
    if V2_START.startswith(data) or V1_START.startswith(data):
        return None
    raise ProtocolError("short protocol header" if len(data) < len(V1_START) else "unrecognized protocol header")


def what_is_missing(data: bytes) -> str:
    """What to say of a header that never became complete."""
    if not data:
        return "EOF"
    if data.startswith(V2_START):
        return "short version 2 protocol header"
    return "missing protocol header terminator" if data.startswith(V1_START) else "short protocol header"


def _parse_v1(data: bytes, families: frozenset[int]) -> ProxyHeader | None:
    end = data.find(b"\n", 0, _V1_LIMIT)
    if end < 0:
        if len(data) >= _V1_LIMIT:
            raise ProtocolError("missing protocol header terminator")
        return None
    words = data[:end].decode("ascii", "replace").split()
    words += [""] * 5
    version = {"TCP4": 4, "TCP6": 6}.get(words[1], 0)
    if version not in families:  # UNKNOWN as well: a stranger must not be taken for the proxy
        raise ProtocolError("bad or missing protocol type")
    client = _address(words[2], version, "client")
    server = _address(words[3], version, "server")
    return ProxyHeader(end + 1, (client, _port(words[4], "client")), (server, _port(words[5], "server")))


def _address(text: str, version: int, whose: str) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        found = None
    if found is None or found.version != version or "%" in text:
        raise ProtocolError(f"bad or missing {whose} address")
    return _shown(found)


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """An IPv4 address in IPv6's clothes is shown, and listed in mynetworks, as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _port(text: str, whose: str) -> str:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise ProtocolError(f"bad or missing {whose} port")
    return text


def _parse_v2(data: bytes, families: frozenset[int]) -> ProxyHeader | None:
    if len(data) < _V2_FIXED.size:
        return None
    _, version_and_command, family, body_length = _V2_FIXED.unpack_from(data)
    if version_and_command >> 4 != 2:
        raise ProtocolError("unrecognized protocol version")
    length = _V2_FIXED.size + body_length
    if length > LIMIT:
        raise ProtocolError("version 2 protocol header is too long")
    command = version_and_command & 15
    if command not in (_LOCAL, _PROXIED):
        raise ProtocolError("bad command in proxy header")
    if len(data) < length:
        return None
    if command == _LOCAL:
        return ProxyHeader(length)
    return _v2_addresses(data[_V2_FIXED.size : length], family, length, families)


def _v2_addresses(body: bytes, family: int, length: int, families: frozenset[int]) -> ProxyHeader:
    size = {_TCP4: 4, _TCP6: 16}.get(family, 0)
    if not size or (4 if size == 4 else 6) not in families:
        raise ProtocolError("unsupported network protocol")
    if len(body) < 2 * size + _PORTS.size:
        raise ProtocolError("short address field")
    client, server = (_shown(ipaddress.ip_address(body[at : at + size])) for at in (0, size))
    client_port, server_port = _PORTS.unpack_from(body, 2 * size)
    return ProxyHeader(length, (client, str(client_port)), (server, str(server_port)))
