"""smtp_reply_filter: replies of servers rewritten line by line before anything is made of them (postconf(5))."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.deliver.smtp.peer import Peer
from posthouse.errors import LookupFailed
from posthouse.lookup.maps import Maps, open_maps
from posthouse.maillog import smtp as maillog
from posthouse.protocols.smtp_client import ServerReply
from posthouse.system.log import DaemonLog


class ReplyFilter:
    """The table of one service."""

    def __init__(self, settings: Settings, prefix: str, log: DaemonLog) -> None:
        self._maps: Maps = open_maps(settings, f"{prefix}_reply_filter")
        self._log = log
        self.empty = self._maps.empty

    def apply(self, peer: Peer, reply: ServerReply) -> ServerReply:
        """The reply as it counts. A table that fails, or makes no reply of it, changes nothing."""
        lines = tuple(self._line(peer, line) for line in reply.lines)
        if lines == reply.lines:
            return reply
        code = lines[-1][:3]
        return ServerReply(int(code), lines) if code.isascii() and code.isdigit() and len(code) == 3 else reply

    def _line(self, peer: Peer, line: str) -> str:
        try:
            new = self._maps.lookup(line)
        except LookupFailed as failed:
            self._log.warning(f"{failed}: reply filter lookup failed")
            return line
        if new is None:
            return line
        self._log.info(maillog.reply_replaced(peer.relay, line, new))
        return new
