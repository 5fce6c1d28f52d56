"""What a worker has in hand: the joints by which its stages reach one another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.mail.message import QueuedMessage
from posthouse.services.counting import ClientCounter
from posthouse.services.delivery import Bouncer, DeliveryAgent, Result
from posthouse.services.intake import Cleanup, Intake
from posthouse.services.privileged import PrivilegedAgent
from posthouse.services.resolving import Rewriter
from posthouse.system.key_files import KeyFiles
from posthouse.system.log import DaemonLog, LogSink


@dataclass(slots=True)
class House:
    """Built once per worker by master/worker.py, which fills in the joints one after the other.

    settings is main.cf without any -o. dns is a posthouse.system.dns.Resolver. agent(name) is the delivery agent of
    the transport of that name in master.cf (KeyError where there is none). verify(address) tells of an address by
    probing (posthouse.services.verifying.Verified), probed hears what came of a probe; flush(domain) makes the queue
    try a destination now (ETRN). key_files gives keys and certificates. greylist and spf are policy's own
    (policy.greylist.in_house, policy.spf.in_house), made when first used.
    """

    settings: Settings
    services: tuple[Service, ...]
    sink: LogSink
    dns: Any = None
    rewriter: Rewriter | None = None
    cleanups: dict[str, Cleanup] = field(default_factory=dict)
    intake: Intake | None = None
    privileged: PrivilegedAgent | None = None
    bouncer: Bouncer | None = None
    agent: Callable[[str], DeliveryAgent] | None = None
    verify: Callable[[str], Awaitable[Any]] | None = None
    flush: Callable[[str], Awaitable[Any]] | None = None
    anvil: ClientCounter | None = None
    key_files: KeyFiles = field(default_factory=KeyFiles)
    probed: Callable[[QueuedMessage, list[Result]], None] | None = None
    greylist: Any = None
    spf: Any = None

    def service(self, name: str, service_type: str = "unix") -> Service | None:
        """The service of master.cf with that name and type (fifo and pass count as unix)."""
        wants_inet = service_type == "inet"
        return next((s for s in self.services if s.name == name and (s.type == "inet") == wants_inet), None)

    def settings_of(self, service: Service) -> Settings:
        """main.cf with the service's -o on top."""
        return self.settings.with_overrides(service.options, service.name)

    def log(self, settings: Settings, daemon: str) -> DaemonLog:
        """The log of a daemon under that view's syslog_name."""
        return DaemonLog(f"{settings.text('syslog_name')}/{daemon}", self.sink)
