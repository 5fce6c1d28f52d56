"""The machine's users and groups, as the mail system asks for them (getpwnam(3)); a short memory spares the lookups."""

from __future__ import annotations

import ctypes
import errno
import grp
import os
import pwd
import time
from dataclasses import dataclass

from posthouse.errors import LookupFailed

_MEMORY_SECONDS = 5.0
_MEMORY_SIZE = 10000
_NO_SUCH_NAME = (0, errno.ENOENT, errno.ESRCH, errno.EBADF, errno.EPERM, errno.ERANGE)


@dataclass(frozen=True, slots=True)
class User:
    """An entry of the password file; gecos is the full name as it stands there."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    gecos: str = ""


_by_name: dict[str, tuple[float, User | None]] = {}


def find_user(name: str) -> User | None:
    """The user of that name; None where there is none. Raises LookupFailed where the system cannot say."""
    now = time.monotonic()
    known = _by_name.get(name)
    if known is not None and now - known[0] < _MEMORY_SECONDS:
        return known[1]
    if len(_by_name) >= _MEMORY_SIZE:
        _by_name.clear()
    try:
        user = _from_entry(pwd.getpwnam(name)) if _can_be_a_name(name) else None
    except KeyError:
        require_answer("getpwnam_r", name)
        user = None
    _by_name[name] = (now, user)
    return user


def require_answer(function: str, name: str) -> None:
    """Python says "no such name" as well where the system could not look. Raises LookupFailed then.

    function is getpwnam_r or getgrnam_r; what it returns for "none" differs from system to system (getpwnam(3)). It
    says "none" even where it could not open the file and asked another source after that.
    """
    try:
        os.close(os.open("/etc/passwd" if function == "getpwnam_r" else "/etc/group", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise LookupFailed(f"{function}: {error.strerror}") from None
    entry, text, found = ctypes.create_string_buffer(512), ctypes.create_string_buffer(1 << 16), ctypes.c_void_p()
    key = name.encode("utf-8", "surrogateescape")
    status = getattr(ctypes.CDLL(None), function)(key, entry, text, ctypes.c_size_t(len(text)), ctypes.byref(found))
    if status not in _NO_SUCH_NAME:
        raise LookupFailed(f"{function}: {os.strerror(status)}")


def find_user_by_id(uid: int) -> User | None:
    """The first user with that number; None where there is none."""
    try:
        return _from_entry(pwd.getpwuid(uid))
    except (KeyError, OverflowError):
        return None


def find_group_id(name: str) -> int | None:
    """The number of a group; None where there is none of that name."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def forget_users() -> None:
    """Ask the machine anew (after reload)."""
    _by_name.clear()


def _can_be_a_name(name: str) -> bool:
    return bool(name) and "\0" not in name and len(name) <= 256


def _from_entry(entry: pwd.struct_passwd) -> User:
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell, entry.pw_gecos)
