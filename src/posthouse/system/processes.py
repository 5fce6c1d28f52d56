"""What the processes of the house need of the machine: rights to drop, a parent to die with, a place to be daemons."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

_PR_SET_PDEATHSIG = 1


def runs_as_root() -> bool:
    """Whether this process may change its user."""
    return os.geteuid() == 0


def drop_privileges(user: str) -> None:
    """Become that user for good, with the user's supplementary groups. Raises KeyError for an unknown user."""
    entry = pwd.getpwnam(user)
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if os.geteuid() != entry.pw_uid or os.getegid() != entry.pw_gid:
        raise PermissionError(f"cannot become {user}")


def die_with_parent(parent: int, signal_number: int = signal.SIGTERM) -> None:
    """Be sent a signal when the parent (its process id) ends. Linux only; elsewhere the lifeline pipe must do.

    To be called after the last change of rights, which would undo it.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal_number)


def leave_terminal() -> None:
    """Start a session of our own, with nothing open towards the terminal."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)


def raise_file_limit(wanted: int = 65536) -> None:
    """Allow as many open files as we may; each session is one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if os.geteuid() == 0 and hard != resource.RLIM_INFINITY:
        hard = max(hard, wanted)
    target = wanted if hard == resource.RLIM_INFINITY else min(hard, max(wanted, soft))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, target), hard))
    except (ValueError, OSError):
        return
