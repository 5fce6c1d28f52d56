"""The daemon around postgrey's answers: sockets, signals, rights, whitelists (postgrey(8))."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from posthouse.errors import ConfigError
from posthouse.policy.policy_connections import MAX_REQUEST, PolicyConnections


@dataclass(frozen=True, slots=True)
class Listening:
    """inet is "[host:]port", unix a path; one of them is "". mode is that of the socket in the file system."""

    inet: str = ""
    unix: str = ""
    mode: int = 0o666
    backlog: int = 128


def open_sockets(where: Listening) -> list[socket.socket]:
    """Bound and listening, before rights are given up. Raises ConfigError."""
    try:
        if where.unix:
            return [_listen_unix(where)]
        return list(_listen_inet(where))
    except OSError as problem:
        raise ConfigError(f"cannot listen on {where.unix or where.inet}: {problem.strerror or problem}") from problem


def _listen_unix(where: Listening) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(where.unix)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(where.unix)
    os.chmod(where.unix, where.mode)
    listening.listen(where.backlog)
    return listening


def _listen_inet(where: Listening) -> Iterator[socket.socket]:
    host, _, port = where.inet.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"Could not determine port number from host {where.inet}")
    name = host.strip("[]") or "localhost"
    passive = name == "*"
    found = socket.getaddrinfo(None if passive else name, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    chosen = found if passive else [entry for entry in found if entry[0] == found[0][0]][:1]
    for family, kind, protocol, _name, address in chosen:
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(where.backlog)
        yield listening


def run(sockets: list[socket.socket], connections: PolicyConnections, reload: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP calls reload."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sockets, connections, reload))


async def _serve(sockets: list[socket.socket], connections: PolicyConnections, reload: Callable[[], None]) -> None:
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    servers = [await asyncio.start_server(connections.serve, sock=sock, limit=MAX_REQUEST) for sock in sockets]
    await ending.wait()
    for server in servers:
        server.close()
    connections.close()
    await asyncio.sleep(0)
