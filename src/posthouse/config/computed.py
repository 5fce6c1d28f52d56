"""Defaults that come from the machine: its name, its domain, its networks (postconf(5), myhostname and mynetworks)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posthouse.config.settings import Settings

DEFAULT_DOMAIN = "localdomain"


def default_value(settings: Settings, name: str) -> str:
    """The default of a parameter that config/parameters declares as computed."""
    return _COMPUTED[name](settings)


def _hostname(settings: Settings) -> str:
    name: str = socket.gethostname()
    if "." in name:
        return name
    return f"{name}.{settings.text('mydomain') if settings.is_set('mydomain') else DEFAULT_DOMAIN}"


def _domain(settings: Settings) -> str:
    _, dot, domain = settings.text("myhostname").partition(".")
    return domain if dot else DEFAULT_DOMAIN


def _networks(settings: Settings) -> str:
    from posthouse.config.networks import own_networks

    return own_networks(settings)


def _process_name(_settings: Settings) -> str:
    import sys

    return os.path.basename(sys.argv[0]) if sys.argv else ""


_COMPUTED: dict[str, Callable[[Settings], str]] = {
    "myhostname": _hostname,
    "mydomain": _domain,
    "mynetworks": _networks,
    "process_id": lambda _settings: str(os.getpid()),
    "process_name": _process_name,
    "service_name": lambda settings: settings.service,
}
