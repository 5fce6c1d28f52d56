"""What the lines of master.cf that run commands have in common (pipe(8), spawn(8)): words, user, environment."""

from __future__ import annotations

import os
from collections.abc import Iterator

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.errors import ConfigError
from posthouse.services.privileged import Identity
from posthouse.system.users import find_group_id, find_user

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


def wrong_line(service: Service, text: str) -> ConfigError:
    """A mistake in the arguments of a service."""
    return ConfigError(text, file=service.file, line=service.line, parameter=service.name)


def command_arguments(words: list[str]) -> Iterator[str]:
    """The words; one in { and } without them and the space inside."""
    for word in words:
        yield word[1:-1].strip() if word.startswith("{") and word.endswith("}") else word


def command_identity(service: Service, name: str, settings: Settings) -> Identity:
    """Whose rights user=name[:group] gives. Raises ConfigError for root's, the mail system's own, and unknown ones."""
    user_name, sign, group_name = name.partition(":")
    user = find_user(user_name)
    if user is None:
        raise wrong_line(service, f"unknown username: {user_name}")
    gid: int | None = user.gid
    if sign:
        gid = find_group_id(group_name)
        if gid is None:
            raise wrong_line(service, f"unknown group: {group_name}")
    if user.uid == 0:
        raise wrong_line(service, "user= command-line attribute specifies root privileges")
    if gid == 0:
        raise wrong_line(service, "user= command-line attribute specifies root group")
    owner = find_user(settings.text("mail_owner"))
    if owner is not None and user.uid == owner.uid and user.uid != os.geteuid():
        raise wrong_line(service, f"user= command-line attribute specifies mail system owner {owner.name}")
    return Identity(user.uid, gid or 0, user.name)
