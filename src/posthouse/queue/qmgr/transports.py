"""The transports of master.cf as the queue manager uses them: their limits, their waiting mail, their logs."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.maillog import qmgr as says
from posthouse.queue.qmgr.active import DeliveryLog
from posthouse.queue.qmgr.concurrency import Limits
from posthouse.queue.qmgr.scheduler import Transport
from posthouse.services.delivery import DeliveryAgent
from posthouse.services.house import House
from posthouse.system.log import DaemonLog


class Transports:
    """Made when first used. A transport that master.cf does not have stays unknown until the next start."""

    def __init__(self, house: House, settings: Settings) -> None:
        self._house, self._settings = house, settings
        self._log = house.log(settings, "qmgr")
        self._soft_bounce = settings.flag("soft_bounce")
        self._resolution = settings.integer("delay_logging_resolution_limit")
        self._known: dict[str, Transport] = {}
        self._agents: dict[str, DeliveryAgent] = {}
        self._logs: dict[str, DeliveryLog] = {}

    def get(self, name: str) -> Transport | None:
        """The transport, or None where there is no such service."""
        found = self._known.get(name)
        if found is None:
            service = self._house.service(name)
            if service is None or self.agent(name) is None:
                self._log.warning(says.no_agent(name))
                return None
            found = self._known[name] = Transport(name, Limits.of(self._settings, name, service.maxproc))
        return found

    def agent(self, name: str) -> DeliveryAgent | None:
        """The delivery agent of a transport, or None where there is none."""
        found = self._agents.get(name)
        if found is None and self._house.agent is not None:
            try:
                found = self._agents[name] = self._house.agent(name)
            except KeyError:
                return None
            except ConfigError as error:
                # Its mail waits for a better master.cf; that of other transports goes on.
                self._log.warning(f"{name}: {error}")
                return None
        return found

    def log(self, name: str) -> DeliveryLog:
        """The log of a transport's service, with its -o settings ("postfix/relay/smtp")."""
        found = self._logs.get(name)
        if found is None:
            service = self._house.service(name)
            settings = self._house.settings_of(service) if service else self._settings
            log = self._house.log(settings, service.command if service else "error")
            found = self._logs[name] = self.own_log(log)
            found.others = self.log
        return found

    def own_log(self, log: DaemonLog) -> DeliveryLog:
        """A delivery log under another name."""
        return DeliveryLog(log, soft_bounce=self._soft_bounce, resolution=self._resolution)

    def all(self) -> list[Transport]:
        return list(self._known.values())
