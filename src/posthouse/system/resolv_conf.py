"""Where to ask: the name servers of /etc/resolv.conf (resolv.conf(5))."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass

_MAX_SERVERS = 3
_MAX_SIZE = 65536


@dataclass(frozen=True, slots=True)
class Servers:
    """addresses are (host, port); timeout is in seconds, for the first try at a server."""

    addresses: tuple[tuple[str, int], ...]
    timeout: float = 5.0
    attempts: int = 2


def parse(text: str) -> Servers:
    """The servers a resolv.conf names; this machine where it names none."""
    addresses: list[tuple[str, int]] = []
    timeout, attempts = 5.0, 2
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(";", 1)[0].split()
        if len(words) >= 2 and words[0] == "nameserver" and _is_address(words[1]) and len(addresses) < _MAX_SERVERS:
            addresses.append((words[1], 53))
        elif words and words[0] == "options":
            for option in words[1:]:
                name, _, value = option.partition(":")
                if name == "timeout" and value.isdigit():
                    timeout = float(min(max(int(value), 1), 30))
                elif name == "attempts" and value.isdigit():
                    attempts = min(max(int(value), 1), 5)
    return Servers(tuple(addresses) or (("127.0.0.1", 53),), timeout, attempts)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


class ResolvConf:
    """The file, read again when it has changed (looked at not more often than every two seconds)."""

    def __init__(self, path: str = "/etc/resolv.conf") -> None:
        self.path = path
        self._signature: tuple[int, int] | None = None
        self._servers = Servers((("127.0.0.1", 53),))
        self._looked = -1e9

    def servers(self, now: float) -> Servers:
        """The servers as they are at that monotonic time (s)."""
        if now - self._looked < 2.0:
            return self._servers
        self._looked = now
        try:
            status = os.stat(self.path)
            signature = (status.st_mtime_ns, status.st_ino)
            if signature != self._signature:
                with open(self.path, encoding="utf-8", errors="replace") as file:
                    self._servers = parse(file.read(_MAX_SIZE))
                self._signature = signature
        except OSError:
            self._servers, self._signature = Servers((("127.0.0.1", 53),)), None
        return self._servers
