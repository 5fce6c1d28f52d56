"""The joint to the agent host: the only process that may write a mailbox or run a command, as the user concerned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.mail.content import Content
from posthouse.mail.status import Status


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose rights an operation has. groups are supplementary (local(8) uses initgroups: name is then the user's)."""

    uid: int
    gid: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class MailFile:
    """A mailbox to write. head is what stands before the content (Return-Path, X-Original-To, Delivered-To; for an mbox
    the "From " line first). locks are the words of mailbox_delivery_lock. size_limit (bytes, 0 none) bounds an mbox.
    from_quoting: lines of the content that begin with "From " get a ">". create_parents: missing directories are made.
    lock_attempts, lock_delay and stale_lock (s) are deliver_lock_attempts and so on. must_own: the mbox must belong to
    the user (strict_mailbox_ownership). in_spool: the mbox stands in mail_spool_directory, where only root may make it.
    any_file: a destination like /dev/null is fine too, and a dotlock that cannot be made is done without.
    cannot_open is the status of a file that cannot be opened (5.2.0 for local(8), 4.2.0 for virtual(8)).
    """

    identity: Identity
    path: str
    head: bytes
    content: Content
    size_limit: int = 0
    locks: tuple[str, ...] = ()
    from_quoting: bool = False
    create_parents: bool = True
    lock_attempts: int = 20
    lock_delay: float = 1.0
    stale_lock: float = 500.0
    must_own: bool = False
    in_spool: bool = False
    any_file: bool = False
    cannot_open: str = "4.2.0"


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run. argv without a shell; directory "" is the agent's own. environment is all that it gets.
    stdin is head + content + tail, as the flags ask (eol is the line end). limit is in seconds, output_limit in bytes;
    chroot "" is none; daemon is the name that complains when it cannot be run.
    """

    identity: Identity
    argv: tuple[str, ...]
    environment: dict[str, str]
    head: bytes
    content: Content
    limit: float
    directory: str = ""
    tail: bytes = b""
    from_quoting: bool = False
    dot_stuffing: bool = False
    eol: bytes = b"\n"
    chroot: str = ""
    output_limit: int = 4096
    daemon: str = "pipe"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """exit_status as of waitpid (negative: the signal that ended it); output: the start of stdout and stderr together.
    failure is set where nobody was there to run it, or it ran out of time; complaint where it cannot be run as it is.
    """

    exit_status: int
    output: bytes
    failure: Status | None = None
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class UserFile:
    """A file read with a user's rights: owner and mode of what was read; data None where there is none.

    exists and problem ("Permission denied") tell why data is None; regular is False for what is no plain file (a
    symbolic link too, unless links are followed).
    """

    data: bytes | None
    owner: int = 0
    group_or_world_writable: bool = False
    exists: bool = False
    regular: bool = True
    world_writable: bool = False
    problem: str = ""


class PrivilegedAgent(Protocol):
    """All return a Status of 4.x or 5.x (dsn and text as the log shows them) instead of raising; success is None."""

    async def write_maildir(self, mail: MailFile) -> Status | None:
        """Into path/new by way of path/tmp; returns when file and directory entry are durable."""
        ...

    async def append_mbox(self, mail: MailFile) -> Status | None:
        """At the end of the file at path, under its locks; durable; what was half written is taken back."""
        ...

    async def run_command(self, command: Command) -> CommandResult:
        """Run to its end, or kill it with its process group at the limit."""
        ...

    async def read_file(
        self, identity: Identity, path: str, limit: int, *, follow_links: bool = True
    ) -> UserFile | Status:
        """A .forward or :include: file, at most limit bytes."""
        ...

    async def spawn(
        self, identity: Identity, argv: Sequence[str], environment: dict[str, str], limit: float, connection: int
    ) -> Status | None:
        """Start a command whose standard input and output is connection (a descriptor, which stays the caller's);
        it is killed after limit (s, 0 never). Returns when it has been started (spawn(8)).
        """
        ...
