"""unix: tables: unix:passwd.byname and unix:group.byname, the system's users and groups (DATABASE_README)."""

from __future__ import annotations

import grp
import pwd
from functools import lru_cache

from posthouse.lookup.table import BadTable, Options, Table
from posthouse.system.users import require_answer

_LOCAL_SOURCES = frozenset({"files", "compat", "systemd", "db", "altfiles"})


class AccountTable(Table):
    """Users or groups, as a line of passwd(5) or group(5).

    Blocking where the system asks others for them (LDAP, sssd, NIS).
    """

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(options)
        self._line = _user if name == "passwd.byname" else _group
        self.blocking = not _sources(name.partition(".")[0]) <= _LOCAL_SOURCES

    def get(self, key: str) -> str | None:
        if "\0" in key:
            return None
        return self._line(key)


def _user(name: str) -> str | None:
    try:
        user = pwd.getpwnam(name)
    except UnicodeEncodeError:
        return None
    except KeyError:
        require_answer("getpwnam_r", name)
        return None
    return ":".join(map(str, user))


def _group(name: str) -> str | None:
    try:
        group = grp.getgrnam(name)
    except UnicodeEncodeError:
        return None
    except KeyError:
        require_answer("getgrnam_r", name)
        return None
    return f"{group.gr_name}:{group.gr_passwd}:{group.gr_gid}:{','.join(group.gr_mem)}"


@lru_cache(maxsize=2)
def _sources(database: str) -> frozenset[str]:
    """Where nsswitch.conf(5) says that the system looks."""
    try:
        with open("/etc/nsswitch.conf", encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.partition("#")[0].split()
                if words and words[0] == f"{database}:":
                    return frozenset(word for word in words[1:] if not word.startswith("["))
    except OSError:
        pass
    return frozenset({"files"})


def open_table(name: str, options: Options) -> AccountTable:
    """passwd.byname or group.byname."""
    if name not in ("passwd.byname", "group.byname"):
        raise BadTable(f"unknown table: {options.spec}")
    return AccountTable(name, options)
