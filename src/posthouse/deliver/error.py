"""Returns or defers all mail, with the next hop as the reason (error(8)): "5.1.6 User has moved" or just words.

The service named retry defers; any other bounces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.deliver.results import same_for_all
from posthouse.mail.outcome import Bounced, Deferred, Outcome
from posthouse.mail.status import Status
from posthouse.services.delivery import DeliveryRequest, Report
from posthouse.services.house import House
from posthouse.system.log import DaemonLog

_DSN = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)")
_NO_REASON = "Address is undeliverable"
_RETRY = "retry"


@dataclass(frozen=True, slots=True)
class ErrorAgent:
    """defers: deferred instead of returned."""

    defers: bool
    log: DaemonLog

    async def deliver(self, request: DeliveryRequest) -> Report:
        return same_for_all(request, self.outcome(request.nexthop))

    def outcome(self, reason: str) -> Outcome:
        """What a reason means: its status code if it has the right class, else 5.0.0 or 4.0.0."""
        wanted = "4" if self.defers else "5"
        match = _DSN.match(reason)
        dsn, text = (match[1], reason[match.end() :]) if match else (f"{wanted}.0.0", reason)
        if not dsn.startswith(wanted):
            self.log.warning(f'{"defer" if self.defers else "bounce"}_append: ignoring dsn code "{dsn}"')
            dsn = f"{wanted}.0.0"
        status = Status(dsn, 0, text or _NO_REASON)
        return Deferred(status) if self.defers else Bounced(status)

    async def close(self) -> None:
        """Nothing is kept."""


def build(service: Service, settings: Settings, house: House) -> ErrorAgent:
    """The agent of a line "error unix ... error"; the line named retry defers."""
    return ErrorAgent(service.name == _RETRY, house.log(settings, "error"))
