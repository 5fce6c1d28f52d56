"""The joint to anvil(8): how often a client comes, and what it does."""

from __future__ import annotations

from typing import Protocol


class ClientCounter(Protocol):
    """Counts per service and client address, in anvil_rate_time_unit; each answers with the count so far."""

    def connect(self, service: str, address: str) -> tuple[int, int]:
        """(open connections, connections per time unit), this one included."""
        ...

    def disconnect(self, service: str, address: str) -> None: ...

    def message(self, service: str, address: str) -> int: ...

    def recipient(self, service: str, address: str) -> int: ...

    def new_tls_session(self, service: str, address: str) -> int: ...

    def tls_sessions_so_far(self, service: str, address: str) -> int:
        """Without counting one more."""
        ...

    def authentication(self, service: str, address: str) -> int: ...
