"""A worker's way to the agent host: what services/privileged.py promises, over sockets, without waiting for anything
but the host's answers.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

from posthouse.deliver.agent_host import wire
from posthouse.deliver.agent_host.wire import Operation, Piece
from posthouse.mail.content import Content, FilePart
from posthouse.mail.status import Status
from posthouse.services.privileged import Command, CommandResult, Identity, MailFile, UserFile

_OPEN_SECONDS = 30.0
_IDLE_SECONDS = 60.0
_CHANNELS = 100
_LOST = ["4.3.0", "delivery process ended unexpectedly"]
_NO_HOST = ["4.3.0", "agent host is not running"]
_READ_LIMIT = 60_000

Packed = tuple[list[bytes | memoryview], list[int], list[int]]


class Channel:
    """One socket with requests under way; answers may come in any order. lost is called once when it has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop, self._sock = loop, sock
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._unsent: deque[Packed] = deque()
        self._counter = 0
        self.closed = False
        self.used = loop.time()
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._read)

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    def request(
        self,
        operation: int,
        values: Sequence[Any],
        pieces: tuple[bytes, Piece, Piece] = (b"", Piece(b""), Piece(b"")),
    ) -> asyncio.Future[Any]:
        """The values of the answer, in a future; it never fails, a lost channel answers with a status."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.closed:
            future.set_result(_LOST)
            return future
        self._counter += 1
        self.used = self._loop.time()
        try:
            packed = wire.pack(self._counter, operation, values, pieces)
        except OSError as error:
            future.set_result(["4.3.0", f"cannot hand over the message: {error}"])
            return future
        self._waiting[self._counter] = future
        if self._unsent:
            self._unsent.append(packed)
        elif not self._send(packed):
            self._unsent.append(packed)
            self._loop.add_writer(self._sock.fileno(), self._write)
        return future

    def close(self) -> None:
        """End it; what waits is answered with a temporary failure."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for _, _, owned in self._unsent:
            _close_all(owned)
        self._unsent.clear()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(_LOST)

    def _send(self, packed: Packed) -> bool:
        """Whether it went out (or the channel is lost)."""
        buffers, files, owned = packed
        try:
            wire.send(self._sock, buffers, files)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in (errno.ENOBUFS, errno.ENOMEM):
                return False  # the machine is short of memory for a moment
            _close_all(owned)
            self._loop.call_soon(self.close)
            return True
        _close_all(owned)
        return True

    def _write(self) -> None:
        while self._unsent:
            if not self._send(self._unsent[0]):
                return
            self._unsent.popleft()
        self._loop.remove_writer(self._sock.fileno())

    def _read(self) -> None:
        try:
            packet, files = wire.receive(self._sock)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self.close()
            return
        if not packet:
            self.close()
            return
        self._take_answers(packet, files)

    def _take_answers(self, packet: bytes, files: list[int]) -> None:
        for identifier, values in json.loads(packet):
            future = self._waiting.pop(identifier, None)
            if future is None or future.done():
                continue
            future.set_result((values, files.pop(0)) if files else values)
        _close_all(files)


class AgentClient:
    """PrivilegedAgent over the agent host. sock is the worker's end of its socket to the host."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._host = Channel(loop, sock)
        self._children: dict[tuple[int, int, str, str], Channel] = {}
        self._opening: dict[tuple[int, int, str, str], asyncio.Future[Channel | list[str]]] = {}
        self._sweeper = loop.call_later(_IDLE_SECONDS, self._sweep)

    @property
    def is_connected(self) -> bool:
        """Whether the host is there."""
        return not self._host.closed

    def reconnect(self, sock: socket.socket) -> None:
        """Master has started the host anew; sock is the new worker's end. Children of the old one go on."""
        self._host.close()
        self._host = Channel(self._loop, sock)

    def close(self) -> None:
        """Close all channels; children end when they have finished."""
        self._sweeper.cancel()
        for channel in self._children.values():
            channel.close()
        self._children.clear()
        self._host.close()

    async def write_maildir(self, mail: MailFile) -> Status | None:
        """Into path/new; see PrivilegedAgent."""
        if not mail.path.startswith("/"):
            return Status("4.3.5", 0, f"not an absolute path: {mail.path}")
        key = (mail.identity.uid, mail.identity.gid, "user", "")
        channel = self._children.get(key)
        if channel is None or channel.closed:
            opened = await self._open(key)
            if not isinstance(opened, Channel):
                return _status(opened)
            channel = opened
        pieces = _pieces(mail.head, mail.content)
        if isinstance(pieces, Status):
            return pieces
        values = (_with_slash(mail.path), mail.size_limit, mail.create_parents)
        return _status(await channel.request(Operation.MAILDIR, values, pieces))

    async def append_mbox(self, mail: MailFile) -> Status | None:
        """At the end of the file; see PrivilegedAgent."""
        if not mail.path.startswith("/"):
            return Status("4.3.5", 0, f"not an absolute path: {mail.path}")
        values = (
            mail.path,
            mail.locks,
            mail.lock_attempts,
            mail.lock_delay,
            mail.stale_lock,
            mail.size_limit,
            mail.from_quoting,
            mail.cannot_open,
            mail.must_own,
            mail.any_file,
        )
        kind = "spool" if mail.in_spool else "user"
        answered = await self._ask(mail.identity, (kind, ""), Operation.MBOX, values, (mail.head, mail.content))
        return _status(answered)

    async def run_command(self, command: Command) -> CommandResult:
        """To its end or limit; see PrivilegedAgent."""
        values = (
            command.argv,
            command.environment,
            command.directory,
            command.limit,
            command.output_limit,
            command.daemon,
            command.from_quoting,
            command.dot_stuffing,
            command.eol.decode("latin-1"),
            command.tail.decode("latin-1"),
        )
        answered = await self._ask(
            command.identity, ("user", command.chroot), Operation.COMMAND, values, (command.head, command.content)
        )
        if len(answered) != 4:
            return CommandResult(0, b"", _status(answered))
        status, output, timed_out, complaint = answered
        failure = Status("5.3.0", 0, "Command time limit exceeded") if timed_out else None
        return CommandResult(status, output.encode("latin-1"), failure, complaint)

    async def read_file(
        self, identity: Identity, path: str, limit: int, *, follow_links: bool = True
    ) -> UserFile | Status:
        """At most limit bytes; see PrivilegedAgent."""
        values = (path, min(limit, _READ_LIMIT), follow_links)
        answered = await self._ask(identity, ("user", ""), Operation.READ, values, (b"", Content(b"", b"")))
        if len(answered) != 6:
            return _status(answered) or Status("4.3.0", 0, "no answer")
        data, owner, mode, exists, regular, problem = answered
        return UserFile(
            data=None if data is None else data.encode("latin-1"),
            owner=owner,
            group_or_world_writable=bool(mode & 0o022),
            exists=exists,
            regular=regular,
            world_writable=bool(mode & 0o002),
            problem=problem,
        )

    async def spawn(
        self, identity: Identity, argv: Sequence[str], environment: dict[str, str], limit: float, connection: int
    ) -> Status | None:
        """Start a command with the connection (a descriptor; it stays the caller's) as its standard input and output;
        it is killed after limit (s, 0 never). Returns when it has been started.
        """
        values = (identity.uid, identity.gid, list(argv), environment, limit)
        try:
            duplicate = os.dup(connection)
        except OSError as error:
            return Status("4.3.0", 0, str(error))
        piece = Piece(b"", duplicate)
        future = self._host.request(Operation.SPAWN, values, (b"", Piece(b""), piece))
        return _status(await asyncio.wait_for(future, _OPEN_SECONDS))

    async def _ask(
        self,
        identity: Identity,
        kind: tuple[str, str],
        operation: int,
        values: Sequence[Any],
        mail: tuple[bytes, Content],
    ) -> Any:
        key = (identity.uid, identity.gid, *kind)
        channel = self._children.get(key)
        if channel is None or channel.closed:
            opened = await self._open(key)
            if not isinstance(opened, Channel):
                return opened
            channel = opened
        pieces = _pieces(*mail)
        if isinstance(pieces, Status):
            return [pieces.dsn, pieces.text]
        return await channel.request(operation, values, pieces)

    async def _open(self, key: tuple[int, int, str, str]) -> Channel | list[str]:
        """The channel to a child with these rights; those who ask meanwhile wait for the same one."""
        under_way = self._opening.get(key)
        if under_way is not None:
            return await under_way
        future = self._opening[key] = self._loop.create_future()
        result: Channel | list[str] = _LOST
        try:
            result = await self._open_anew(key)
        finally:
            del self._opening[key]
            future.set_result(result)
        return result

    async def _open_anew(self, key: tuple[int, int, str, str]) -> Channel | list[str]:
        if self._host.closed:
            return _NO_HOST
        if len(self._children) >= _CHANNELS:
            self._close_longest_idle()
        try:
            answered = await asyncio.wait_for(self._host.request(Operation.OPEN, key), _OPEN_SECONDS)
        except TimeoutError:
            return ["4.3.0", "agent host does not answer"]
        if not isinstance(answered, tuple):
            return answered if isinstance(answered, list) else _NO_HOST
        channel = Channel(self._loop, socket.socket(fileno=answered[1]))
        self._children[key] = channel
        return channel

    def _close_longest_idle(self) -> None:
        idle = [(c.used, key) for key, c in self._children.items() if c.is_idle]
        if idle:
            self._children.pop(min(idle)[1]).close()

    def _sweep(self) -> None:
        """Close channels that have not been used for a while; their children end then."""
        now = self._loop.time()
        for key, channel in list(self._children.items()):
            if channel.closed or (channel.is_idle and now - channel.used > _IDLE_SECONDS):
                channel.close()
                del self._children[key]
        self._sweeper = self._loop.call_later(_IDLE_SECONDS, self._sweep)


def _with_slash(path: str) -> str:
    return path if path.endswith("/") else path + "/"


def _pieces(head: bytes, content: Content) -> tuple[bytes, Piece, Piece] | Status:
    body = content.body
    if isinstance(body, FilePart):
        try:
            file = os.open(body.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return Status("4.3.0", 0, f"cannot read the message: {error.strerror}")
        return head, Piece(content.header), Piece(b"", file, body.offset, body.length)
    return head, Piece(content.header), Piece(body)


def _status(values: Any) -> Status | None:
    return None if values is None else Status(values[0], 0, values[1])


def _close_all(files: list[int]) -> None:
    for file in files:
        os.close(file)
    files.clear()
