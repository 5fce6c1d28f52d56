"""smtp_tls_per_site: how much TLS, by next hop and by host, in words older than smtp_tls_policy_maps (postconf(5))."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.deliver.smtp.tls_policy_row import BadPolicy, Level
from posthouse.errors import LookupFailed
from posthouse.lookup.maps import open_maps
from posthouse.lookup.table import failure_warnings
from posthouse.maillog import smtp as lines
from posthouse.system.log import DaemonLog

# The later one in this order holds where next hop and host have different ones.
_WORDS = {"MAY": Level.MAY, "NONE": Level.NONE, "MUST_NOPEERMATCH": Level.ENCRYPT, "MUST": Level.VERIFY}
_PRECEDENCE = tuple(_WORDS.values())


class SiteUnknown(BadPolicy):
    """The table could not answer; the mail waits."""


class SiteTable:
    """The table of one smtp or lmtp service."""

    def __init__(self, settings: Settings, prefix: str, log: DaemonLog) -> None:
        self._name, self._log = f"{prefix}_tls_per_site", log
        self._maps = open_maps(settings, self._name)

    @property
    def empty(self) -> bool:
        return self._maps.empty

    async def level(self, next_hop: str, host: str, usual: Level) -> Level:
        """For a host of a next-hop destination, where usual is what main.cf says for all. Raises BadPolicy, when the
        log says why.
        """
        found: list[Level] = []
        for kind, key in (("next-hop destination", next_hop), ("server hostname", host)):
            if key and not (kind == "server hostname" and key.lower() == next_hop.lower()):
                found += await self._asked(kind, key)
        if not found:
            return usual
        own = max(found, key=_PRECEDENCE.index)
        return max(own, usual) if own is Level.MAY else own

    async def _asked(self, kind: str, key: str) -> list[Level]:
        try:
            word = await self._maps.find(key)
        except LookupFailed as failed:
            for text in failure_warnings(failed, key):
                self._log.warning(text)
            self._log.warning(f'{self._name}: {kind} "{key}": per-site table lookup error')
            raise SiteUnknown(str(failed)) from failed
        if word is None:
            return []
        level = _WORDS.get(word.upper())
        if level is None:
            self._log.warning(lines.unknown_site_level(self._name, word, f"{kind} {key}"))
            raise BadPolicy(f"unknown TLS policy {word}")
        return [level]
