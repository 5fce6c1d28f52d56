"""Where smtpd tells that a default of old decided (COMPATIBILITY_README)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthouse.config.compatibility import relies_on_old_default
from posthouse.config.settings import Settings
from posthouse.maillog import compatibility as lines

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session


class OldDefaults:
    """Which of them one service relies on."""

    def __init__(self, settings: Settings) -> None:
        self._has_no_utf8 = relies_on_old_default(settings, "smtputf8_enable")
        relay_is_old = relies_on_old_default(settings, "relay_domains")
        self._flushes = relay_is_old and not settings.is_set("fast_flush_domains")

    def note_address(self, session: Session, whose: str, address: str) -> None:
        """A sender or recipient that was taken; whose is "sender" or "recipient"."""
        if self._has_no_utf8 and not address.isascii():
            session.log.info(lines.non_ascii_address(whose, address, session.client))

    def note_flush(self, session: Session, domain: str) -> None:
        """ETRN for a domain that is one of fast_flush_domains."""
        if self._flushes:
            session.log.info(lines.flushed_domain(domain))
