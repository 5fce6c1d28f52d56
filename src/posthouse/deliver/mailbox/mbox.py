"""Appends messages to mbox files under their locks; what was half written is taken back (local(8), virtual(8))."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from posthouse.deliver.agent_host.wire import Piece
from posthouse.deliver.mailbox.copying import adapted
from posthouse.deliver.mailbox.failures import MailboxFailure, reason, writing_failed
from posthouse.system.locks import LockFailed, Patience, lock_file, make_dotlock

_PASSING = frozenset({errno.EAGAIN, errno.EINTR, errno.ENFILE, errno.EMFILE, errno.ENOSPC, errno.ESTALE, errno.EIO})


@dataclass(frozen=True, slots=True)
class Rules:
    """How to treat one mbox. cannot_open is the status of a file that cannot be opened (4.2.0 for virtual, 5.2.0 for
    local); owner is the uid that the file must have (-1 any) and, as root in a spool directory, gets when it is made.
    """

    locks: tuple[str, ...]
    patience: Patience
    size_limit: int
    quote_from: bool
    cannot_open: str
    owner: int = -1
    must_own: bool = False
    any_file: bool = False
    make_for: tuple[int, int] | None = None


@dataclass(slots=True)
class Entry:
    """A message for an mbox; failure tells what went wrong."""

    head: bytes | memoryview
    pieces: tuple[Piece, ...]
    failure: MailboxFailure | None = None


def append(
    path: str,
    entries: Sequence[Entry],
    rules: Rules,
    writing: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> None:
    """Append all entries under one set of locks, durable at the end; each entry's failure tells what became of it.

    writing gives the context in which the file is written (as its owner, so that quotas count).
    """
    with contextlib.ExitStack() as stack:
        try:
            file = _open_locked(path, rules, stack)
        except MailboxFailure as failure:
            for entry in entries:
                entry.failure = failure
            return
        with writing():
            _append_all(file, entries, rules)


def _open_locked(path: str, rules: Rules, stack: contextlib.ExitStack) -> int:
    try:
        if "dotlock" in rules.locks:
            try:
                stack.callback(make_dotlock(path, rules.patience))
            except LockFailed as failure:
                if not rules.any_file or failure.number == errno.EEXIST:
                    raise
        file = _open(path, rules)
        stack.callback(os.close, file)
        found = os.fstat(file)
        _check(path, found, rules)
        if stat.S_ISREG(found.st_mode):
            lock_file(file, rules.locks, rules.patience)
    except LockFailed as failure:
        raise MailboxFailure("4.2.0", failure.text) from None
    return file


def _open(path: str, rules: Rules) -> int:
    """The file, made where it is missing; a link is not followed, except one that root made for a device."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        try:
            return os.open(path, flags | os.O_NOFOLLOW)
        except FileNotFoundError:
            pass
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise MailboxFailure(rules.cannot_open, "file is a symbolic link") from None
        raise _unopened("cannot open file", error, rules) from None
    try:
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _unopened("cannot create file exclusively", error, rules) from None
    if rules.make_for is not None:
        os.fchown(file, *rules.make_for)
    return file


def _unopened(what: str, error: OSError, rules: Rules) -> MailboxFailure:
    dsn = "4.2.0" if error.errno in _PASSING else rules.cannot_open
    return MailboxFailure(dsn, f"{what}: {reason(error)}")


def _check(path: str, found: os.stat_result, rules: Rules) -> None:
    if not stat.S_ISREG(found.st_mode):
        if not rules.any_file or stat.S_ISDIR(found.st_mode):
            raise MailboxFailure("5.2.0", f"destination {path} is not a regular file")
        return
    if found.st_nlink != 1:
        raise MailboxFailure(rules.cannot_open, f"file has {found.st_nlink} hard links")
    if rules.must_own and found.st_uid != rules.owner:
        raise MailboxFailure("4.2.0", f"destination {path} is not owned by recipient")


def _append_all(file: int, entries: Sequence[Entry], rules: Rules) -> None:
    regular = stat.S_ISREG(os.fstat(file).st_mode)
    written: list[Entry] = []
    for entry in entries:
        end = os.fstat(file).st_size if regular else 0
        try:
            _append_one(file, entry, end, rules)
            written.append(entry)
        except OSError as error:
            if regular:
                with contextlib.suppress(OSError):
                    os.ftruncate(file, end)
            entry.failure = writing_failed(error)
    if not written or not regular:
        return
    try:
        os.fsync(file)
    except OSError as error:
        for entry in written:
            entry.failure = writing_failed(error)


def _append_one(file: int, entry: Entry, end: int, rules: Rules) -> None:
    size = end + len(entry.head)
    _write(file, entry.head)
    for portion in adapted(entry.pieces, quote_from=rules.quote_from, double_dots=False, eol=b"\n"):
        size += len(portion)
        if rules.size_limit and size + 1 > rules.size_limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        _write(file, portion)
    _write(file, b"\n")


def _write(file: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
