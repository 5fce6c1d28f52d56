"""Opening files of users without being led astray: no symbolic link in a mail directory is followed."""

from __future__ import annotations

import os
import stat

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_directory(path: str, *, create: bool, mode: int = 0o700) -> int:
    """A descriptor of the directory at an absolute path; with create, missing directories are made.

    A symbolic link is followed only where root owns it (an administrator's /var/mail -> /srv/mail); a user cannot lead
    us elsewhere. Raises OSError (ELOOP for such a link).
    """
    if not path.startswith("/"):
        raise ValueError(f"not an absolute path: {path}")
    current = os.open("/", DIRECTORY_FLAGS)
    try:
        for name in path.split("/"):
            if name in ("", "."):
                continue
            below = _enter(current, name, create=create, mode=mode)
            os.close(current)
            current = below
    except BaseException:
        os.close(current)
        raise
    return current


def _enter(parent: int, name: str, *, create: bool, mode: int) -> int:
    try:
        return os.open(name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
    except OSError:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode) and found.st_uid == 0:
            return os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        raise
    try:
        os.mkdir(name, mode, dir_fd=parent)
        os.fsync(parent)
    except FileExistsError:
        pass  # somebody else made it meanwhile
    return os.open(name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=parent)


def sync_directory(descriptor: int) -> None:
    """Make the entries of a directory durable."""
    os.fsync(descriptor)


def give_second_name(path: str, name: str) -> str:
    """Another name in the same directory for a file, so that two owners may each remove theirs. Raises OSError."""
    second = os.path.join(os.path.dirname(path), name)
    os.link(path, second, follow_symlinks=False)
    return second
