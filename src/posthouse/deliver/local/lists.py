"""Reads users' .forward files and the files that :include: names, with the rights of those concerned (local(8))."""

from __future__ import annotations

import os
import stat

from posthouse.deliver.local.attributes import Attributes, Progress
from posthouse.deliver.local.context import Local, identity_of
from posthouse.deliver.local.expansion import Unexpandable, expanded, names_for
from posthouse.mail.status import Status
from posthouse.maillog import local as maillog
from posthouse.services.privileged import UserFile
from posthouse.system.users import User

_SIZE_LIMIT = 1 << 20


async def find_forward(
    local: Local, progress: Progress, attributes: Attributes, user: User
) -> tuple[str, UserFile, bool] | Status | None:
    """The first file of forward_path that is there: path, file, and whether its name tells the extension."""
    values = names_for(attributes, progress.request.message.envelope.origin, local.rules.delimiters)
    allowed = local.settings.text("forward_expansion_filter")
    for template in local.settings.raw("forward_path").replace(",", " ").split():
        try:
            path, used = expanded(template, values, allowed, all_needed=True)
        except Unexpandable:
            continue
        found = await read_as(local, user, path, follow_links=False)
        if isinstance(found, Status):
            return found
        if found.exists:
            return path, found, "extension" in used
    return None


def forward_complaint(path: str, found: UserFile, user: User) -> str:
    """Why a .forward file is not used; "" where it is fine."""
    if not found.regular:
        return maillog.not_regular(path)
    if found.owner not in (0, user.uid):
        return maillog.bad_owner(path, found.owner)
    if found.world_writable:
        return maillog.world_writable(path)
    if found.data is None:
        return maillog.cannot_open(path, found.problem)
    return ""


async def read_as(local: Local, user: User, path: str, *, follow_links: bool) -> UserFile | Status:
    """A file with the user's rights; root's own files are read with those of this process, which are less."""
    if user.uid == 0:
        return _read_here(path, follow_links=follow_links)
    if local.privileged is None:
        return Status("4.3.0", 0, "agent host is not running")
    return await local.privileged.read_file(identity_of(user), path, _SIZE_LIMIT, follow_links=follow_links)


async def read_include(local: Local, attributes: Attributes, path: str) -> UserFile | Status:
    """A file of members. A Status is what to answer; the log has been told why."""
    rights = attributes.rights
    if not path.startswith("/"):
        local.log.warning(f":include:{path} uses a relative path")
        return Status("5.3.5", 0, "mail system configuration error")
    if rights is not None and rights.uid != 0:
        found = await read_as(local, rights, path, follow_links=True)
    else:
        found = _read_here(path, follow_links=True)
    if isinstance(found, Status):
        return found
    problem = _include_problem(path, found)
    if problem:
        local.log.warning(problem)
        return Status("5.3.5", 0, "mail system configuration error")
    return found


def _include_problem(path: str, found: UserFile) -> str:
    if not found.exists:
        return maillog.no_include(path, found.problem)
    if not found.regular:
        return f":include: file {path} is not a regular file"
    if found.world_writable:
        return f":include: file {path} is world writable"
    if found.data is None:
        return f"open file {path}: {found.problem}"
    return ""


def _read_here(path: str, *, follow_links: bool) -> UserFile:
    try:
        found = os.stat(path, follow_symlinks=follow_links)
    except OSError as error:
        return UserFile(None, problem=os.strerror(error.errno or 0))
    mode = found.st_mode
    facts = UserFile(
        None, found.st_uid, bool(mode & 0o022), exists=True, regular=stat.S_ISREG(mode), world_writable=bool(mode & 2)
    )
    if not facts.regular:
        return facts
    try:
        with open(path, "rb") as file:
            data = file.read(_SIZE_LIMIT)
    except OSError as error:
        return UserFile(None, facts.owner, exists=True, problem=os.strerror(error.errno or 0))
    return UserFile(data, facts.owner, facts.group_or_world_writable, True, True, facts.world_writable)
