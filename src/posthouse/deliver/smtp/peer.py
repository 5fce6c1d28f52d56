"""A host that may take the mail, and how a log speaks of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """One address of a host, or a unix socket (path; name is then this host's own)."""

    name: str
    address: str
    port: int
    path: str = ""
    preference: int = 0

    @property
    def shown(self) -> str:
        """As in mail.example.net[192.0.2.1]."""
        return f"{self.name}[{self.address or self.path}]"

    @property
    def relay(self) -> str:
        """relay= of the log: with the port, where there is one."""
        return self.shown if self.path else f"{self.shown}:{self.port}"
