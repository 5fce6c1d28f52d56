"""Who may use a command: authorized_submit_users, authorized_flush_users, authorized_mailq_users (postconf(5))."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from posthouse.errors import LookupFailed

if TYPE_CHECKING:
    from posthouse.config.settings import Settings

ANYONE = "static:anyone"


def login_name(uid: int) -> str:
    """The name of a user, "unknown" where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "unknown"


def is_authorized(settings: Settings, parameter: str, name: str) -> bool:
    """Whether a list of names, files and tables has that user. A table that fails has nobody."""
    if settings.text(parameter) == ANYONE:
        return True
    from posthouse.lookup.match_list import StringList

    try:
        return StringList(settings, parameter).contains(name)
    except LookupFailed:
        return False


def may(settings: Settings, parameter: str) -> bool:
    """Whether who runs this command may see or flush the queue; root and mail_owner always may."""
    uid = os.getuid()
    name = login_name(uid)
    return uid == 0 or name == settings.text("mail_owner") or is_authorized(settings, parameter, name)
