"""Giving up rights: a process becomes another user for good, or takes a user's rights for a while and root's back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_NOBODY_ELSE = "cannot get user and group {uid}:{gid}; the mail system runs as user {own}"


class CannotBecome(PermissionError):
    """The process may not take those rights."""


def may_become(uid: int, gid: int) -> bool:
    """Whether this process can have these rights: root can have any, others only their own."""
    return os.geteuid() == 0 or (uid == os.geteuid() and (gid == os.getegid() or gid in os.getgroups()))


def become(uid: int, gid: int, groups: list[int] | None = None) -> None:
    """Take the rights of uid and gid for good, with these supplementary groups (none but gid where None).

    Raises CannotBecome when this is not root and the rights are others than our own, or when any trace of the old
    rights would remain.
    """
    if os.geteuid() != 0:
        if not may_become(uid, gid):
            raise CannotBecome(_NOBODY_ELSE.format(uid=uid, gid=gid, own=os.geteuid()))
        return
    os.setgroups(groups if groups is not None else [gid])
    os.setgid(gid)
    os.setuid(uid)
    if os.getuid() != uid or os.geteuid() != uid or os.getgid() != gid or os.getegid() != gid:
        raise CannotBecome(f"rights of {uid}:{gid} were not taken")
    if uid != 0 and _can_return():
        raise CannotBecome("rights of root were not given up")


def _can_return() -> bool:
    try:
        os.setuid(0)
    except PermissionError:
        return False
    return True


@contextlib.contextmanager
def rights_of(uid: int, gid: int) -> Iterator[None]:
    """Root with the effective rights of a user for a while (writing counts against the user's quota then). For
    processes of one thread; others than root keep their own.
    """
    if os.geteuid() != 0:
        yield
        return
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
