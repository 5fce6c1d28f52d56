"""Finds the delivery agent that a line of master.cf names: the module of that name in this package (master(5))."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import cast

import posthouse.deliver
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.deliver.status_filter import with_filter
from posthouse.errors import ConfigError
from posthouse.services.delivery import DeliveryAgent
from posthouse.services.house import House

_NOT_AGENTS = frozenset(
    {"agent", "agent_host", "mailbox", "command_outcome", "results", "loop_fields", "status_filter"}
)


@cache
def agent_modules() -> dict[str, str]:
    """Command in master.cf -> module, from the package's own listing. lmtp is smtp with other words; the service that
    retries ("retry unix ... error") is error's.
    """
    found = {
        module.name: f"{posthouse.deliver.__name__}.{module.name}"
        for module in pkgutil.iter_modules(posthouse.deliver.__path__)
        if module.name not in _NOT_AGENTS
    }
    if "smtp" in found:
        found["lmtp"] = found["smtp"]
    return found


def build_agent(service: Service, settings: Settings, house: House) -> DeliveryAgent:
    """The agent for a transport of master.cf, with the settings of that service. Raises ConfigError where there is no
    agent of that name, or where its arguments are wrong.
    """
    module = agent_modules().get(service.command)
    if module is None:
        raise ConfigError(
            f'"{service.command}" is not a delivery agent', file=service.file, line=service.line, parameter=service.name
        )
    agent = cast("DeliveryAgent", importlib.import_module(module).build(service, settings, house))
    return with_filter(agent, settings, service.command, house.log(settings, service.command))
