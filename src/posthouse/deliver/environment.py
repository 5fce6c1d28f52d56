"""What commands inherit of the mail system's environment (export_environment of postconf(5))."""

from __future__ import annotations

import os

from posthouse.config.settings import Settings

_DEFAULT_PATH = "/usr/bin:/bin"


def exported_environment(settings: Settings) -> dict[str, str]:
    """What a command inherits: PATH, and what export_environment names (name, or name=value)."""
    environment = {"PATH": _DEFAULT_PATH}
    for word in settings.items("export_environment"):
        name, sign, value = word.partition("=")
        if sign:
            environment[name.strip()] = value.strip()
        elif name in os.environ:
            environment[name] = os.environ[name]
    return environment
