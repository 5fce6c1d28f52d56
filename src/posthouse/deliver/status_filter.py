"""default_delivery_status_filter and its kin: what became of a recipient, told with other words (postconf(5))."""

from __future__ import annotations

import re
from dataclasses import replace

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.maps import Maps, open_maps
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Sent
from posthouse.services.delivery import DeliveryAgent, DeliveryRequest, Report, Result
from posthouse.system.log import DaemonLog

_DSN = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)")


class FilteredAgent:
    """An agent whose results a table may change. Success stays success; the other two may change places."""

    def __init__(self, agent: DeliveryAgent, maps: Maps, name: str, log: DaemonLog) -> None:
        self._agent, self._maps, self._name, self._log = agent, maps, name, log

    async def deliver(self, request: DeliveryRequest) -> Report:
        """As the agent does it, with results as the table has them."""
        report = await self._agent.deliver(request)
        return replace(report, results=tuple([await self._filtered(result) for result in report.results]))

    async def close(self) -> None:
        await self._agent.close()

    async def _filtered(self, result: Result) -> Result:
        status = result.outcome.status
        try:
            value = await self._maps.find(f"{status.dsn} {status.text}")
        except LookupFailed as failed:
            self._log.warning(f"{self._name}: {failed}")
            return result
        match = _DSN.match(value) if value is not None else None
        if value is None:
            return result
        if match is None or (match[1][0] == "2") != status.is_success:
            self._log.warning(f"{self._name}: bad result for {status.dsn} {status.text}: {value}")
            return result
        new = replace(status, dsn=match[1], text=value[match.end() :])
        return replace(result, outcome=_of_class(replace(result.outcome, status=new)))


def _of_class(outcome: Outcome) -> Outcome:
    match outcome:
        case Deferred(status, relay, remote_mta, diagnostic) if status.is_permanent:
            return Bounced(status, relay, remote_mta, diagnostic)
        case Bounced(status, relay, remote_mta, diagnostic) if status.is_temporary:
            return Deferred(status, relay, remote_mta, diagnostic)
        case Sent() | Deferred() | Bounced():
            return outcome


def with_filter(agent: DeliveryAgent, settings: Settings, command: str, log: DaemonLog) -> DeliveryAgent:
    """The agent, under the filter that main.cf has for its kind, if any."""
    name = f"{command}_delivery_status_filter"
    if not settings.knows(name):
        name = "default_delivery_status_filter"
    maps = open_maps(settings, name)
    return agent if maps.empty else FilteredAgent(agent, maps, name, log)
