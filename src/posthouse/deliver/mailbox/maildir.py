"""Writes messages into Maildirs, many at once: all are written to tmp/, made durable together, moved to new/, and the
directories made durable; only then is any of them reported as delivered (virtual(8), local(8)).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from posthouse.deliver.agent_host.wire import Piece
from posthouse.deliver.mailbox.failures import MailboxFailure, reason, writing_failed
from posthouse.system.files import open_directory

_COPY_CHUNK = 1 << 18
_OPEN_LIMIT = 128  # more than a group has letters
_TOGETHER = 3  # files from which on one syncfs is cheaper than an fsync for each
_SLOW_S = 0.25  # a syncfs that took longer had other people's files to write
_REST_S = 60.0
_SYNC_FILE_RANGE_WRITE = 2
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(slots=True)
class Letter:
    """A message on its way into the Maildir at path (with a slash at its end); failure tells what went wrong.
    size_limit is in bytes, 0 none.
    """

    path: str
    pieces: tuple[Piece, ...]
    size_limit: int
    create: bool
    file: int = -1
    is_durable: bool = False
    name: str = ""
    failure: MailboxFailure | None = None


@dataclass(slots=True)
class _Maildir:
    tmp: int
    new: int
    device: int
    inode: int


def _write_behind() -> Callable[[int], None]:
    """Start writing a file's data without waiting for it. Measured on ext4: a group of ten becomes durable in two
    thirds of the time of plain fsync after fsync.
    """
    if not sys.platform.startswith("linux"):
        return lambda _file: None
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "sync_file_range", None)
    if function is None:
        return lambda _file: None
    zero = ctypes.c_int64(0)

    def start(file: int) -> None:
        function(file, zero, zero, _SYNC_FILE_RANGE_WRITE)

    return start


def _sync_file_system() -> Callable[[int], bool] | None:
    """syncfs(2), which tells of write errors since Linux 5.8; None where that is not to be had."""
    try:
        version = tuple(int(word) for word in os.uname().release.split(".", 2)[:2])
    except ValueError:
        return None
    if not sys.platform.startswith("linux") or version < (5, 8):
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return None if function is None else lambda file: bool(function(file) == 0)


def write_pieces(file: int, pieces: Sequence[Piece]) -> int:
    """Write all pieces to a file at its position; the number of bytes. Raises OSError."""
    total = 0
    buffers: list[bytes | memoryview] = []
    for piece in pieces:
        if piece.file < 0:
            if len(piece.data):
                buffers.append(piece.data)
            continue
        total += _write_buffers(file, buffers)
        buffers = []
        total += copy_range(piece, file)
    return total + _write_buffers(file, buffers)


def _write_buffers(file: int, buffers: list[bytes | memoryview]) -> int:
    if not buffers:
        return 0
    wanted = sum(map(len, buffers))
    written = os.writev(file, buffers)
    if written < wanted:
        rest = memoryview(b"".join(buffers))[written:]
        while rest:
            rest = rest[os.write(file, rest) :]
    return wanted


def copy_range(piece: Piece, file: int) -> int:
    """Copy a piece that is in a file, in bounded memory. Raises OSError, EIO where the source is too short."""
    at, left = piece.offset, piece.length
    while left:
        chunk = os.pread(piece.file, min(left, _COPY_CHUNK), at)
        if not chunk:
            raise OSError(errno.EIO, "content ends early")
        at += len(chunk)
        left -= len(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(file, rest) :]
    return piece.length


@dataclass(slots=True)
class MaildirWriter:
    """Writes groups of letters with the rights of this process. Keeps the directories of a few Maildirs open."""

    host: str = field(default_factory=socket.gethostname)
    _open: dict[str, _Maildir] = field(default_factory=dict)
    _start_writing: Callable[[int], None] = field(default_factory=_write_behind)
    _sync_all: Callable[[int], bool] | None = field(default_factory=_sync_file_system)
    _rests_until: float = 0.0
    _count: int = 0

    def deliver(self, letters: Sequence[Letter]) -> None:
        """Deliver all; each letter's failure tells what became of it."""
        written = []
        for letter in letters:
            try:
                self._write(letter)
                written.append(letter)
            except MailboxFailure as failure:
                letter.failure = failure
        if len(written) >= _TOGETHER:
            self._sync_together(written)
        elif len(written) > 1:
            for letter in written:
                self._start_writing(letter.file)
        touched: dict[int, list[Letter]] = {}
        for letter in written:
            self._settle(letter, touched)
        for directory, moved in touched.items():
            self._sync(directory, moved)

    def _sync_together(self, letters: list[Letter]) -> None:
        """Make many files durable at once. Where that fails or would be slow, each gets its fsync."""
        by_device: dict[int, list[Letter]] = {}
        for letter in letters:
            by_device.setdefault(self._open[letter.path].device, []).append(letter)
        for group in by_device.values():
            begin = time.monotonic()
            if self._sync_all is None or len(group) < _TOGETHER or begin < self._rests_until:
                for letter in group:
                    self._start_writing(letter.file)
                continue
            done = self._sync_all(group[0].file)
            for letter in group:
                letter.is_durable = done
            if not done or time.monotonic() - begin > _SLOW_S:
                self._rests_until = time.monotonic() + _REST_S

    def close(self) -> None:
        """Close all directories."""
        for maildir in self._open.values():
            os.close(maildir.tmp)
            os.close(maildir.new)
        self._open.clear()

    def _write(self, letter: Letter) -> None:
        self._count += 1
        letter.name = f"{time.time():.6f}".replace(".", ".P") + f"Q{os.getpid()}N{self._count}.{self.host}"
        maildir = self._directories(letter)
        try:
            letter.file, letter.name = self._create(maildir, letter.name)
        except FileNotFoundError:
            # Somebody moved the Maildir away while it was open here.
            self._forget(letter.path)
            maildir = self._directories(letter)
            letter.file, letter.name = self._create_or_fail(maildir, letter)
        except OSError as error:
            raise self._cannot_create(letter, error) from None
        try:
            size = sum(len(p.data) if p.file < 0 else p.length for p in letter.pieces)
            if letter.size_limit and size > letter.size_limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))  # noqa: TRY301
            write_pieces(letter.file, letter.pieces)
        except OSError as error:
            self._discard(maildir, letter)
            failed = writing_failed(error)
            raise MailboxFailure(failed.dsn, f"maildir delivery failed: {failed.text}") from None

    def _create_or_fail(self, maildir: _Maildir, letter: Letter) -> tuple[int, str]:
        try:
            return self._create(maildir, letter.name)
        except OSError as error:
            raise self._cannot_create(letter, error) from None

    def _cannot_create(self, letter: Letter, error: OSError) -> MailboxFailure:
        place = f"{letter.path}tmp/{letter.name}"
        return MailboxFailure("4.2.0", f"maildir delivery failed: create maildir file {place}: {reason(error)}")

    def _create(self, maildir: _Maildir, temporary: str) -> tuple[int, str]:
        """The new file under tmp/, under the name that it will have in new/: unique by time, inode and host."""
        file = os.open(temporary, _FLAGS, 0o600, dir_fd=maildir.tmp)
        inode = os.fstat(file).st_ino
        seconds, microseconds = temporary.split(".", 2)[:2]
        micro = microseconds[1:].split("Q", 1)[0]
        final = f"{seconds}.V{maildir.device:x}I{inode:x}M{micro}.{self.host}"
        return file, f"{temporary}\0{final}"

    def _settle(self, letter: Letter, touched: dict[int, list[Letter]]) -> None:
        """Make one file durable and give it its place in new/."""
        maildir = self._open[letter.path]
        temporary, final = letter.name.split("\0")
        try:
            if not letter.is_durable:
                os.fsync(letter.file)
            os.close(letter.file)
            letter.file = -1
            os.rename(temporary, final, src_dir_fd=maildir.tmp, dst_dir_fd=maildir.new)
        except OSError as error:
            self._discard(maildir, letter)
            failed = writing_failed(error)
            letter.failure = MailboxFailure(failed.dsn, f"maildir delivery failed: {failed.text}")
            return
        letter.name = final
        touched.setdefault(maildir.new, []).append(letter)

    def _sync(self, directory: int, moved: list[Letter]) -> None:
        try:
            os.fsync(directory)
        except OSError as error:
            for letter in moved:
                letter.failure = MailboxFailure("4.3.0", f"maildir delivery failed: {reason(error)}")

    def _discard(self, maildir: _Maildir, letter: Letter) -> None:
        if letter.file >= 0:
            os.close(letter.file)
            letter.file = -1
        with contextlib.suppress(OSError):
            os.unlink(letter.name.split("\0")[0], dir_fd=maildir.tmp)

    def _directories(self, letter: Letter) -> _Maildir:
        found = self._open.get(letter.path)
        if found is not None and not _is_still_there(letter.path, found):
            self._forget(letter.path)
            found = None
        if found is None:
            found = self._open_maildir(letter)
            if len(self._open) >= _OPEN_LIMIT:
                self._forget(next(iter(self._open)))
        else:
            del self._open[letter.path]
        self._open[letter.path] = found  # at the end: what the group at hand uses is not closed for want of room
        return found

    def _open_maildir(self, letter: Letter) -> _Maildir:
        base = -1
        tmp = -1
        try:
            base = open_directory(letter.path, create=letter.create)
            tmp = _subdirectory(base, "tmp", create=letter.create)
            new = _subdirectory(base, "new", create=letter.create)
            _make_subdirectory(base, "cur")
            found = os.fstat(tmp)
            return _Maildir(tmp, new, found.st_dev, found.st_ino)
        except OSError as error:
            if tmp >= 0:
                os.close(tmp)
            raise self._cannot_create(letter, error) from None
        finally:
            if base >= 0:
                os.close(base)

    def _forget(self, path: str) -> None:
        maildir = self._open.pop(path, None)
        if maildir is not None:
            os.close(maildir.tmp)
            os.close(maildir.new)


def _is_still_there(path: str, maildir: _Maildir) -> bool:
    """Whether the open directories are those at the path; somebody may have moved the Maildir away."""
    try:
        found = os.stat(path + "tmp", follow_symlinks=False)
    except OSError:
        return False
    return found.st_ino == maildir.inode and found.st_dev == maildir.device


def _make_subdirectory(base: int, name: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=base)
        os.fsync(base)


def _subdirectory(base: int, name: str, *, create: bool) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=base)
    except FileNotFoundError:
        if not create:
            raise
    _make_subdirectory(base, name)
    return os.open(name, flags, dir_fd=base)
