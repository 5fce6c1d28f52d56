"""Brings mail to this machine's users: aliases, .forward files, mailboxes, commands (local(8))."""

from __future__ import annotations

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.deliver.local.agent import LocalAgent
from posthouse.services.house import House


def build(service: Service, settings: Settings, house: House) -> LocalAgent:
    """The agent of a line "local unix ... local"."""
    return LocalAgent(service.name, settings, house)
