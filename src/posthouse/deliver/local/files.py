"""Writes mailboxes and other files of users: mbox, or Maildir where the path ends in a slash (local(8))."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from posthouse.deliver.local.attributes import Attributes, Progress
from posthouse.deliver.local.context import NO_AGENT, Local, identity_of, is_question
from posthouse.deliver.results import failed
from posthouse.mail.outcome import Outcome
from posthouse.mail.status import Status
from posthouse.services.privileged import MailFile
from posthouse.system.users import User

_RESTRICTED = Status("5.7.1", 0, "mail to file is restricted")


async def deliver_file(local: Local, progress: Progress, attributes: Attributes, path: str) -> Outcome:
    """To a file that an alias, a .forward or an :include: file names."""
    if attributes.via not in local.rules.files_from:
        return failed(_RESTRICTED, local.relay)
    user = local.rights_for_outside(attributes)
    if user is None:
        return failed(Status("4.3.5", 0, "mail system configuration error"), local.relay)
    if path.startswith("~/"):
        if attributes.rights is None:
            return failed(Status("5.3.5", 0, f"no home directory for {path}"), local.relay)
        path = attributes.rights.home + path[1:]
    if path.endswith("/"):
        return await deliver_maildir(local, progress, attributes, user, path)
    if is_question(progress):
        return local.would(f"delivers to file: {path}")
    mail = _mbox(local, progress, attributes, user, path)
    status = await _append(local, replace(mail, any_file=True, cannot_open="5.2.0"))
    if status is None:
        return local.sent(f"delivered to file: {path}")
    return failed(replace(status, text=f"cannot append message to file {path}: {status.text}"), local.relay)


async def deliver_maildir(local: Local, progress: Progress, attributes: Attributes, user: User, path: str) -> Outcome:
    """Into a Maildir."""
    if is_question(progress):
        return local.would("delivers to maildir")
    if local.privileged is None:
        return failed(NO_AGENT, local.relay)
    head = local.head(attributes, "file")
    mail = MailFile(identity_of(user), path, head, progress.request.message.content, local.rules.size_limit)
    status = await local.privileged.write_maildir(mail)
    return local.sent("delivered to maildir") if status is None else failed(status, local.relay)


async def deliver_home_or_spool(local: Local, progress: Progress, attributes: Attributes, user: User) -> Outcome:
    """Into the user's own mailbox, by home_mailbox or mail_spool_directory."""
    rules = local.rules
    if rules.home_mailbox:
        path = f"{user.home}/{rules.home_mailbox}"
    else:
        path = f"{rules.spool.rstrip('/')}/{attributes.user}" + ("/" if rules.spool.endswith("/") else "")
    if path.endswith("/"):
        return await deliver_maildir(local, progress, attributes, user, path)
    if is_question(progress):
        return local.would("delivers to mailbox")
    mail = _mbox(local, progress, attributes, user, path)
    in_spool = not rules.home_mailbox and (user.uid == 0 or _belongs_to_root(rules.spool))
    mail = replace(mail, must_own=rules.must_own, in_spool=in_spool, cannot_open="5.2.0")
    status = await _append(local, mail)
    if status is None:
        return local.sent("delivered to mailbox")
    if "is not owned by recipient" in status.text:
        local.log.warning('specify "strict_mailbox_ownership = no" to ignore mailbox ownership mismatch')
    text = f"cannot update mailbox {path} for user {attributes.user}. {status.text}"
    return failed(replace(status, text=text), local.relay)


def _belongs_to_root(directory: str) -> bool:
    """Whether only root (or the directory's group) can make files there."""
    try:
        return not os.stat(directory).st_mode & 0o002
    except OSError:
        return False


def _mbox(local: Local, progress: Progress, attributes: Attributes, user: User, path: str) -> MailFile:
    locking = local.rules.locking
    return MailFile(
        identity=identity_of(user),
        path=path,
        head=local.head(attributes, "file", from_moment=time.time()),
        content=progress.request.message.content,
        size_limit=local.rules.size_limit,
        locks=locking.kinds,
        from_quoting=True,
        lock_attempts=locking.attempts,
        lock_delay=locking.delay,
        stale_lock=locking.stale,
    )


async def _append(local: Local, mail: MailFile) -> Status | None:
    return NO_AGENT if local.privileged is None else await local.privileged.append_mbox(mail)
