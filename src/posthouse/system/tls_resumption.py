"""TLS sessions that a client goes on with, so that the next connection to the same server needs no full handshake.

A session is kept in memory, and only for who asks for that (smtp_tls_session_cache_database; RFC 8446, 2.2).
"""

from __future__ import annotations

import ssl
import time
from typing import Any


class ResumingContext(ssl.SSLContext):
    """A client's context for one server, whose last session it remembers. life is in seconds; 0 remembers nothing.

    One for each server, because asyncio makes connections without a word about sessions.
    """

    life = 0.0
    _session: ssl.SSLSession | None = None
    _until = 0.0

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        known = self._session if time.monotonic() < self._until else None
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session or known)

    def remember(self, tls: Any) -> None:
        """The session of a connection that went well; tls is its ssl.SSLObject."""
        session: ssl.SSLSession | None = tls.session
        if self.life and session is not None:
            self._session, self._until = session, time.monotonic() + min(self.life, session.timeout)

    def forget(self) -> None:
        """A handshake failed: the next one is a whole one."""
        self._session = None
