"""pickup(8): takes what sendmail(1) left in maildrop/, and puts it into the queue.

Anybody may write into that folder, so each file is judged: its owner is who submitted it, and what it says is checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pwd
import stat
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import BinaryIO

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed, ProtocolError, TemporaryFailure
from posthouse.lookup.match_list import StringList
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Bounced
from posthouse.maillog import pickup as says
from posthouse.maillog.delivery import Times
from posthouse.maillog.delivery import status as status_line
from posthouse.protocols import maildrop_file
from posthouse.receive.smtpd.content_spool import ContentSpool
from posthouse.services.delivery import Result
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Refused, Skip, Submission
from posthouse.system.dates import mail_date

FILES_AT_A_TIME = 500
UNFINISHED_AGE_S = 24 * 3600.0
ENVELOPE_AND_MARGIN = maildrop_file.ENVELOPE_LIMIT + 4096
TEMPORARY_PREFIX = ".new."
CHUNK = 1 << 18
OVERRIDES = {
    "no_header_body_checks": Skip.HEADER_BODY_CHECKS,
    "no_address_mappings": Skip.ADDRESS_MAPPINGS,
    "no_milters": Skip.MILTERS,
    "no_unknown_recipient_checks": Skip.UNKNOWN_RECIPIENT_CHECKS,
}

Keep = Callable[[QueuedMessage], Awaitable[object]]


class NotTaken(Exception):
    """A file that is not taken. for_good: it is no mail, and never will be; else it is looked at again later."""

    def __init__(self, reason: str, *, for_good: bool) -> None:
        super().__init__(reason)
        self.reason, self.for_good = reason, for_good


class Pickup:
    """Watches the folder. wake() is called when sendmail has left something. keep stores notices to senders."""

    def __init__(self, service: Service | None, settings: Settings, house: House, keep: Keep) -> None:
        self._settings, self._house, self._keep = settings, house, keep
        self._log = house.log(settings, "pickup")
        self._folder = os.path.join(settings.text("queue_directory"), "maildrop")
        self._corrupt = os.path.join(settings.text("queue_directory"), "corrupt")
        self._spool = os.path.join(settings.text("queue_directory"), "posthouse", "spool")
        self._submitters = StringList(settings, "authorized_submit_users")
        self._interval = float(service.wakeup if service is not None and service.wakeup else 60)
        self._content_filter = settings.text("content_filter")
        self._skip = Skip.NOTHING
        for word in settings.items("receive_override_options"):
            self._skip |= OVERRIDES.get(word, Skip.NOTHING)
        limit = settings.integer("message_size_limit")
        self._size_limit = limit + ENVELOPE_AND_MARGIN if limit else 0
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._later: dict[str, float] = {}  # file -> when to look at it again (monotonic)

    def start(self) -> None:
        """Look at once, then when woken, then every wakeup seconds."""
        self._woken.set()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    async def stop(self) -> None:
        """Leave what is there for the next one; a file that is being taken is finished."""
        task, self._task = self._task, None
        if task is not None:
            self._woken.set()
            await task

    async def _watch(self) -> None:
        while self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._interval)
            self._woken.clear()
            await self.take_all()

    async def take_all(self) -> int:
        """Take every file that is complete; how many were taken."""
        taken = 0
        for name in self._names():
            if self._task is None and taken:
                break
            taken += await self._take(name)
        return taken

    def _names(self) -> list[str]:
        """Complete files, a bounded number at a time, oldest names as the system gives them."""
        names: list[str] = []
        now = time.monotonic()
        if len(self._later) > FILES_AT_A_TIME:
            self._later = {name: when for name, when in self._later.items() if when > now}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        self._remove_if_abandoned(entry)
                    elif self._later.get(entry.name, 0.0) > now:
                        continue
                    elif len(names) < FILES_AT_A_TIME:
                        names.append(entry.name)
                    else:
                        self._woken.set()
                        break
        except OSError as trouble:
            self._log.warning(f"open directory {self._folder}: {trouble.strerror}")
        return names

    def _remove_if_abandoned(self, entry: os.DirEntry[str]) -> None:
        with contextlib.suppress(OSError):
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > UNFINISHED_AGE_S:
                os.unlink(entry.path)

    async def _take(self, name: str) -> int:
        path = os.path.join(self._folder, name)
        try:
            with self._open(path) as file:
                await self._submit(file)
        except FileNotFoundError:
            return 0
        except NotTaken as problem:
            self._leave(name, path, problem)
            return 0
        except (TemporaryFailure, OSError) as trouble:
            self._leave(name, path, NotTaken(str(trouble), for_good=False))
            return 0
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._later.pop(name, None)
        return 1

    def _leave(self, name: str, path: str, problem: NotTaken) -> None:
        """Complain once. A file that is no mail goes to corrupt/, out of the way of others, for an administrator."""
        if name not in self._later:
            with contextlib.suppress(OSError):
                self._log.warning(says.refused(name, os.lstat(path).st_uid, problem.reason))
        if problem.for_good:
            try:
                os.rename(path, os.path.join(self._corrupt, name))
            except OSError as trouble:
                self._log.warning(f"move maildrop/{name} to corrupt/: {trouble.strerror}")
            else:
                return
        self._later[name] = time.monotonic() + self._interval / 2

    def _open(self, path: str) -> BinaryIO:
        """The file, if it is one that a single user has written and nobody else can change."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as trouble:
            if trouble.errno == errno.ENOENT:
                raise FileNotFoundError from None
            raise NotTaken(trouble.strerror or "cannot be opened", for_good=trouble.errno == errno.ELOOP) from None
        problem = self._problem_of(os.fstat(fd))
        if problem:
            os.close(fd)
            raise NotTaken(problem, for_good=True)
        return os.fdopen(fd, "rb")

    def _problem_of(self, state: os.stat_result) -> str:
        if not stat.S_ISREG(state.st_mode):
            return "not a regular file"
        if state.st_nlink != 1:
            return "it has more than one name"
        if state.st_mode & 0o022:
            return "others may write to it"
        if self._size_limit and state.st_size > self._size_limit:
            return "larger than message_size_limit"
        return ""

    async def _check_submitter(self, uid: int) -> None:
        """authorized_submit_users, for who owns the file: sendmail asks too, but anybody can write here without it."""
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = "unknown"
        try:
            if await self._submitters.matches(name):
                return
        except LookupFailed as trouble:
            raise NotTaken(f"authorized_submit_users: {trouble}", for_good=False) from None
        raise NotTaken(f"user {name}({uid}) is not allowed to submit mail", for_good=True)

    async def _submit(self, file: BinaryIO) -> None:
        uid = os.fstat(file.fileno()).st_uid
        await self._check_submitter(uid)
        try:
            envelope, arrival = maildrop_file.read_envelope(file.readline(maildrop_file.ENVELOPE_LIMIT))
        except ProtocolError as problem:
            raise NotTaken(str(problem), for_good=True) from None
        if not envelope.recipients:
            raise NotTaken("no recipients", for_good=True)
        if self._content_filter:
            envelope = replace(envelope, content_filter=self._content_filter)
        intake = self._house.intake
        assert intake is not None
        queue_id = intake.new_queue_id()
        self._log.info(says.picked_up(queue_id, uid, envelope.sender))
        header, body = await self._content(file, queue_id)
        submission = Submission(
            envelope=envelope,
            content=Content(self._received(uid, queue_id) + header, body),
            arrival=_in_the_past(arrival),
            queue_id=queue_id,
            cleanup_service=self._settings.text("cleanup_service_name"),
            skip=self._skip,
            mail_class="sendmail",
        )
        is_kept = False
        try:
            answer = await intake.take(submission)
            is_kept = isinstance(answer, Accepted)
            if isinstance(answer, Refused):
                await self._send_back(submission, answer)
        finally:
            if isinstance(body, FilePart) and not is_kept:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(body.path)

    async def _content(self, file: BinaryIO, queue_id: str) -> tuple[bytes, bytes | FilePart]:
        """Header and body; a large body goes to a file of the spool, piece by piece."""
        spool = ContentSpool(self._spool, queue_id, 0)
        chunk = last = b""
        while chunk := file.read(CHUNK):
            spool.add(chunk)
            last = chunk
            await asyncio.sleep(0)
        if last and not last.endswith(b"\n"):
            spool.add(b"\n")
        if spool.failed is not None:
            raise spool.failed
        return spool.close()

    def _received(self, uid: int, queue_id: str) -> bytes:
        host, product = self._settings.text("myhostname"), self._settings.text("mail_name")
        date = mail_date(time.time())
        return f"Received: by {host} ({product}, from userid {uid})\n\tid {queue_id}; {date}\n".encode()

    async def _send_back(self, submission: Submission, answer: Refused) -> None:
        """Nobody waits for an answer any more: what is refused for good goes back to its sender by mail."""
        status = answer.status
        if not status.is_permanent or self._house.bouncer is None:
            raise NotTaken(status.text, for_good=False)
        now, status = time.time(), replace(status, text=status.text.removeprefix("Error: "))
        sender = submission.envelope.sender if answer.sender is None else answer.sender
        # What was refused goes out with its header only.
        recipients = tuple(replace(one, original=one.original or one.address) for one in submission.envelope.recipients)
        envelope: Envelope = replace(submission.envelope, sender=sender, recipients=recipients, ret="HDRS")
        content = replace(submission.content, header=answer.header or submission.content.header)
        message = QueuedMessage(submission.queue_id, submission.arrival, envelope, content, content.size)
        results = [Result(index, Bounced(status), finished=now) for index in range(len(envelope.recipients))]
        log, times = self._house.log(self._settings, "cleanup"), Times(submission.arrival, now, now, 0.0, now)
        for recipient in envelope.recipients:
            log.info(status_line(submission.queue_id, recipient, Bounced(status), times, "bounced"))
        for notice in await self._house.bouncer.failure(message, results):
            await self._keep(notice)


def _in_the_past(arrival: float) -> float:
    """The time in the file, if it can be true: it may say anything, NaN too."""
    now = time.time()
    return arrival if 0 < arrival <= now else now
