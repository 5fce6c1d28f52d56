"""smtpd_reject_footer and smtpd_reject_footer_maps: words of the administrator after a refusal (postconf(5))."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.maps import open_maps
from posthouse.protocols.smtp_server import Reply
from posthouse.receive.smtpd.rules import Rules

if TYPE_CHECKING:
    from posthouse.receive.smtpd.conversation import Conversation

_NAME = re.compile(r"\$(?:\$|\{(\w+)\}|\((\w+)\)|(\w+))")


class Footers:
    """Finds the footer for a reply and fills in its $names."""

    def __init__(self, settings: Settings, rules: Rules) -> None:
        self._settings, self._rules = settings, rules
        self._maps = open_maps(settings, "smtpd_reject_footer_maps")

    def of(self, session: Conversation, reply: Reply) -> str:
        r"""The footer in its raw form ("\c", "\n" still in it), "" where there is none."""
        template = self._rules.reject_footer
        if not self._maps.empty:
            status = reply.status
            try:
                template = self._maps.lookup(f"{status.code} {status.dsn} {status.text}") or template
            except LookupFailed as failed:
                session.log.warning(str(failed))
        if "$" not in template:
            return template
        return _NAME.sub(lambda found: self._value(session, found[1] or found[2] or found[3] or ""), template)

    def _value(self, session: Conversation, name: str) -> str:
        if not name:
            return "$"
        request = session.request
        if name == "localtime":
            return time.strftime("%b %d %H:%M:%S")
        if name == "server_name":
            return self._rules.myhostname
        if name in ("client", "client_name", "client_address", "client_port", "reverse_client_name", "helo_name",
                    "server_address", "server_port", "sender", "recipient"):  # fmt: skip
            value = session.client if name == "client" else getattr(request, name)
            if name == "recipient" and not value and session.transaction is not None:
                value = next((recipient.address for recipient in session.transaction.recipients), "")
            return value or ""
        return self._settings.text(name) if self._settings.knows(name) else ""
