"""/etc/hosts: names and addresses that need no DNS (hosts(5)); asked first for clients' names, as the system does."""

from __future__ import annotations

import ipaddress
import os

_MAX_SIZE = 4 << 20


class HostsFile:
    """Read again when it has changed (looked at not more often than every two seconds)."""

    def __init__(self, path: str = "/etc/hosts") -> None:
        self.path = path
        self._signature: tuple[int, int] | None = None
        self._names: dict[str, str] = {}
        self._addresses: dict[str, list[str]] = {}
        self._looked = -1e9

    def name_of(self, address: str, now: float) -> str:
        """The first name of an address, or ""."""
        self._refresh(now)
        return self._names.get(address, "")

    def addresses_of(self, name: str, now: float) -> list[str]:
        """The addresses of a name."""
        self._refresh(now)
        return self._addresses.get(name.lower(), [])

    def _refresh(self, now: float) -> None:
        if now - self._looked < 2.0:
            return
        self._looked = now
        try:
            status = os.stat(self.path)
            signature = (status.st_mtime_ns, status.st_ino)
            if signature != self._signature:
                with open(self.path, encoding="utf-8", errors="replace") as file:
                    self._parse(file.read(_MAX_SIZE))
                self._signature = signature
        except OSError:
            self._names, self._addresses, self._signature = {}, {}, None

    def _parse(self, text: str) -> None:
        self._names, self._addresses = {}, {}
        for line in text.splitlines():
            address, *names = line.split("#", 1)[0].split() or [""]
            try:
                address = str(ipaddress.ip_address(address.partition("%")[0]))
            except ValueError:
                continue
            if names:
                self._names.setdefault(address, names[0])
            for name in names:
                self._addresses.setdefault(name.lower(), []).append(address)
