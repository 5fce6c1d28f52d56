"""The listening sockets of the services in master.cf: where they are, and opening them (master(5), inet_interfaces)."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.errors import ConfigError

BACKLOG = 4096
LISTENING_ROLES = frozenset({"smtpd", "scan", "postscreen", "spawn", "qmqpd", "greylist", "spf"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address to listen on. family is an AF_ number; address is what bind() takes. service is (name, type)."""

    family: int
    address: tuple[str, int] | str
    service: tuple[str, str]
    datagram: bool = False

    @property
    def text(self) -> str:
        """As an administrator writes it."""
        if isinstance(self.address, str):
            return self.address
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def endpoints(settings: Settings, services: Iterable[Service]) -> list[Endpoint]:
    """Where the services of master.cf listen, in its order. Raises ConfigError for names that mean nothing."""
    found: dict[tuple[int, tuple[str, int] | str], Endpoint] = {}
    for service in services:
        if service.command not in LISTENING_ROLES:
            continue
        view = settings.with_overrides(service.options, service.name)
        for endpoint in _inet(service, view) if service.type == "inet" else _unix(service, view):
            found.setdefault((endpoint.family, endpoint.address), endpoint)
    return list(found.values())


def _unix(service: Service, settings: Settings) -> Iterable[Endpoint]:
    folder = "private" if service.private else "public"
    path = os.path.join(settings.text("queue_directory"), folder, service.name)
    yield Endpoint(socket.AF_UNIX, path, (service.name, service.type))


def families(settings: Settings) -> tuple[int, ...]:
    """The address families of inet_protocols that this machine has."""
    wanted = settings.items("inet_protocols")
    known = {"all": (socket.AF_INET, socket.AF_INET6), "ipv4": (socket.AF_INET,), "ipv6": (socket.AF_INET6,)}
    result: list[int] = []
    for word in wanted:
        if word.lower() not in known:
            raise ConfigError(f"inet_protocols: {word}: it is all, ipv4 or ipv6", parameter="inet_protocols")
        result += [family for family in known[word.lower()] if family not in result and _has(family)]
    return tuple(result)


def _has(family: int) -> bool:
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _inet(service: Service, settings: Settings) -> Iterable[Endpoint]:
    host, port_name = split_service_name(service.name)
    port = port_number(port_name, service)
    usable = families(settings)
    hosts = (host,) if host else settings.items("inet_interfaces")
    parameter = "" if host else "inet_interfaces"
    if not hosts:
        raise ConfigError("inet_interfaces is empty: no address to listen on", parameter="inet_interfaces")
    for name in hosts:
        for family, address in addresses_of(name, usable, parameter):
            yield Endpoint(family, (address, port), (service.name, service.type))


def split_service_name(name: str) -> tuple[str, str]:
    """host:port, [host]:port or port as (host, port); host "" where it is not said."""
    if name.startswith("["):
        host, _, rest = name[1:].partition("]")
        return host, rest.removeprefix(":")
    host, colon, port = name.rpartition(":")
    return (host, port) if colon else ("", name)


def port_number(name: str, service: Service) -> int:
    """A port by number or by its name in /etc/services. Raises ConfigError."""
    if name.isdecimal() and int(name) < 65536:
        return int(name)
    try:
        return socket.getservbyname(name, "tcp")
    except OSError:
        text = f"{service.name}/{service.type}: there is no port of the name {name!r}"
        raise ConfigError(text, file=service.file, line=service.line) from None


def addresses_of(name: str, usable: tuple[int, ...], parameter: str) -> list[tuple[int, str]]:
    """The addresses behind one word of inet_interfaces or a host in master.cf, of the usable families."""
    special: dict[str, dict[int, str]] = {
        "all": {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"},
        "loopback-only": {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"},
    }
    if name in special and parameter:
        return [(family, special[name][family]) for family in usable]
    bare = name.removeprefix("[").removesuffix("]")
    try:
        answers = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM)
    except OSError as trouble:
        raise ConfigError(f"host {name}: {trouble.strerror}", parameter=parameter) from trouble
    result = [(int(family), str(address[0])) for family, _, _, _, address in answers if family in usable]
    return list(dict.fromkeys(result))


def listen(endpoint: Endpoint) -> socket.socket:
    """Open a listening socket. Raises OSError."""
    kind = socket.SOCK_DGRAM if endpoint.datagram else socket.SOCK_STREAM
    sock = socket.socket(endpoint.family, kind)
    try:
        if isinstance(endpoint.address, str):
            _remove_stale(endpoint.address)
            sock.bind(endpoint.address)
            os.chmod(endpoint.address, 0o666)  # noqa: S103 - the folder says who may come
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if endpoint.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(endpoint.address)
        if not endpoint.datagram:
            sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Nobody listens on a socket file that is there while we hold the lock of the queue directory."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode) or stat.S_ISFIFO(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        return
