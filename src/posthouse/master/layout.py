"""The queue directory: its folders, their owners and modes (postfix-script's check, and what Posthouse needs)."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from posthouse.errors import ConfigError
from posthouse.system import processes

SPOOL = "posthouse"  # stores and spooled bodies; named for ourselves, so that Postfix's own queues are left alone


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder below queue_directory. belongs_to_mail: its owner is mail_owner, else whoever runs master."""

    name: str
    mode: int
    belongs_to_mail: bool


FOLDERS = (
    Folder("pid", 0o755, belongs_to_mail=False),
    Folder("public", 0o755, belongs_to_mail=True),
    Folder("private", 0o700, belongs_to_mail=True),
    # Written by everybody, listed by nobody but its owner: docs/decisions/maildrop.md says why.
    Folder("maildrop", 0o1733, belongs_to_mail=True),
    Folder("corrupt", 0o700, belongs_to_mail=True),  # files from maildrop that are no mail
    Folder(SPOOL, 0o700, belongs_to_mail=True),
)


def create_folders(queue_directory: str, data_directory: str, mail_owner: str) -> None:
    """Make what is missing and set owners and modes right. Raises ConfigError where that cannot be done."""
    owner, group = owner_ids(mail_owner)
    try:
        os.makedirs(queue_directory, mode=0o755, exist_ok=True)
        for folder in FOLDERS:
            path = os.path.join(queue_directory, folder.name)
            os.makedirs(path, exist_ok=True)
            _put_right(path, folder, owner, group)
        if data_directory and not os.path.isdir(data_directory):
            os.makedirs(data_directory, mode=0o700)
            if owner >= 0:
                os.chown(data_directory, owner, group)
    except OSError as trouble:
        raise ConfigError(f"{trouble.filename or queue_directory}: {trouble.strerror}") from trouble


def owner_ids(mail_owner: str) -> tuple[int, int]:
    """The uid and gid of mail_owner; (-1, -1) when an ordinary user runs the house. Raises ConfigError for no user."""
    if not processes.runs_as_root():
        return -1, -1
    try:
        entry = pwd.getpwnam(mail_owner)
    except KeyError:
        raise ConfigError(f"mail_owner = {mail_owner}: there is no such user", parameter="mail_owner") from None
    return entry.pw_uid, entry.pw_gid


def _put_right(path: str, folder: Folder, owner: int, group: int) -> None:
    state = os.lstat(path)
    wanted = (owner, group) if folder.belongs_to_mail else (0, 0)
    if owner >= 0 and (state.st_uid, state.st_gid) != wanted:
        os.chown(path, *wanted)
    if state.st_mode & 0o7777 != folder.mode:
        os.chmod(path, folder.mode)
