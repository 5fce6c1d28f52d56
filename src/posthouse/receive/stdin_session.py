"""sendmail -bs: smtpd on standard input and output, for programs that know no other way (smtpd(8), stand-alone).

The client is the user who runs it: no restriction is asked, and mail goes to maildrop/ as any mail of sendmail. That
works while the mail system is down; what main.cf says of addresses is applied by the mail system itself.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.mail.content import Content
from posthouse.mail.message import QueuedMessage
from posthouse.mail.status import Status
from posthouse.protocols.maildrop_file import write_envelope
from posthouse.receive import maildrop
from posthouse.receive.smtpd.service import SmtpdService
from posthouse.receive.smtpd.session import Session
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Refused, Submission
from posthouse.system.log import LogSink

EX_OK = 0
_PIECE = 1 << 16
_NO_ROOM = Status("4.3.0", 451, "Error: queue file write error")
_Take = Callable[[bytes], Coroutine[Any, Any, bool]]
_End = Callable[[], Coroutine[Any, Any, None]]
_ROW = Service("smtp", "unix", True, True, False, 0, False, 0, "smtpd")


def serve(settings: Settings, sink: LogSink, stdin: BinaryIO, stdout: BinaryIO) -> int:
    """Talk until QUIT or the end of input; the exit code. Raises ConfigError."""
    view = settings.with_overrides({"smtpd_forbid_bare_newline": "no"})  # programs end lines as they like
    house = House(view, (), sink, intake=MaildropIntake(settings.text("queue_directory")))
    with tempfile.TemporaryDirectory() as spool:
        service = SmtpdService(_ROW, view, house, stand_alone=True)
        service.spool_directory = spool
        asyncio.run(_talk(service, stdin, stdout))
    return EX_OK


@dataclass(frozen=True, slots=True)
class MaildropIntake:
    """Leaves messages where pickup(8) finds them (services.intake.Intake)."""

    queue_directory: str

    def new_queue_id(self) -> str:
        return secrets.token_hex(7).upper()

    async def take(self, submission: Submission) -> Accepted | Refused:
        """Returns when the message is durable."""
        content = submission.content
        message = QueuedMessage(submission.queue_id, submission.arrival, submission.envelope, content, content.size)
        return await self.keep(message)

    async def keep(self, message: QueuedMessage) -> Accepted | Refused:
        """The same: pickup(8) makes it fit."""
        first, content = write_envelope(message.envelope, message.arrival), message.content
        try:
            maildrop.leave(self.queue_directory, [first, *_pieces(content)], 0)
        except OSError as error:
            return Refused(Status(_NO_ROOM.dsn, _NO_ROOM.code, _NO_ROOM.text, str(error)))
        maildrop.wake_pickup(self.queue_directory)
        if not isinstance(content.body, bytes):
            os.unlink(content.body.path)
        return Accepted(message.queue_id)


def _pieces(content: Content) -> Iterator[bytes]:
    yield content.header
    if isinstance(content.body, bytes):
        yield content.body
        return
    with open(content.body.path, "rb") as file:
        file.seek(content.body.offset)
        while piece := file.read(_PIECE):
            yield piece


class _Terminal(asyncio.Transport):
    """The two streams as a session sees them."""

    def __init__(self, session: Session, stdout: BinaryIO) -> None:
        super().__init__()
        self._session, self._out = session, stdout
        self.may_read, self.ended = asyncio.Event(), asyncio.Event()
        self.may_read.set()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        try:
            self._out.write(data)
            self._out.flush()
        except OSError:
            self.close()

    def pause_reading(self) -> None:
        self.may_read.clear()

    def resume_reading(self) -> None:
        self.may_read.set()

    def is_closing(self) -> bool:
        return self.ended.is_set()

    def close(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            self.may_read.set()
            self._session.connection_lost(None)

    abort = close


async def _talk(service: SmtpdService, stdin: BinaryIO, stdout: BinaryIO) -> None:
    session = Session(service)
    session.noted = True  # a program may write all of its commands at once
    terminal = _Terminal(session, stdout)
    session.connection_made(terminal)

    async def take(data: bytes) -> bool:
        await terminal.may_read.wait()
        if not terminal.ended.is_set():
            session.data_received(data)
        return not terminal.ended.is_set()

    async def end() -> None:
        if not session.eof_received():
            terminal.close()

    loop = asyncio.get_running_loop()
    threading.Thread(target=_feed, args=(stdin, loop, take, end), daemon=True).start()
    await terminal.ended.wait()
    await service.close(grace=0)


def _feed(stdin: BinaryIO, loop: asyncio.AbstractEventLoop, take: _Take, end: _End) -> None:
    """Read in a thread of its own: standard input may be a file, a pipe or somebody who thinks."""
    while data := os.read(stdin.fileno(), _PIECE):
        if not asyncio.run_coroutine_threadsafe(take(data), loop).result():
            return
    asyncio.run_coroutine_threadsafe(end(), loop).result()
