"""One question to one name server over UDP, and over TCP where the answer does not fit (RFC 1035, RFC 7766)."""

from __future__ import annotations

import asyncio
import socket
import struct

_MAX_UDP = 65535
_MAX_TCP = 65535


async def ask_over_udp(server: tuple[str, int], query: bytes, seconds: float) -> bytes:
    """The first datagram with the query's id and the server's address. Raises OSError or TimeoutError.

    Every question has a socket, and so a port, of its own: forged answers must guess it.
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(server)
        sock.send(query)
        arrived: asyncio.Future[bytes] = loop.create_future()
        loop.add_reader(sock.fileno(), _receive, sock, query[:2], arrived)
        try:
            async with asyncio.timeout(seconds):
                return await arrived
        finally:
            loop.remove_reader(sock.fileno())


def _receive(sock: socket.socket, query_id: bytes, arrived: asyncio.Future[bytes]) -> None:
    try:
        datagram = sock.recv(_MAX_UDP)
    except BlockingIOError:
        return
    except OSError as error:
        if not arrived.done():
            arrived.set_exception(error)
        return
    if datagram[:2] == query_id and not arrived.done():
        arrived.set_result(datagram)


async def ask_over_tcp(server: tuple[str, int], query: bytes, seconds: float) -> bytes:
    """The answer over a connection of its own. Raises OSError, TimeoutError or EOFError."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(*server, limit=_MAX_TCP + 2)
        try:
            writer.write(struct.pack("!H", len(query)) + query)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(length)
        finally:
            writer.close()
