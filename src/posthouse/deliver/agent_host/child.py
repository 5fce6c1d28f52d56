"""A process with the rights of one user: writes that user's mailboxes, reads their files, runs commands as that user.

It has given up all other rights before it reads the first request. Maildir requests that are waiting together become
durable together; what may take long (locks, commands) runs in threads.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from collections.abc import Callable
from typing import Any

from posthouse.deliver.agent_host import wire
from posthouse.deliver.agent_host.running import Ran, Run, run
from posthouse.deliver.mailbox import mbox
from posthouse.deliver.mailbox.copying import adapted, chunks
from posthouse.deliver.mailbox.failures import MailboxFailure
from posthouse.deliver.mailbox.maildir import Letter, MaildirWriter
from posthouse.system.locks import Patience

_GROUP_LIMIT = 64
_INTERNAL = ["4.3.0", "mail system trouble on this side"]


class Child:
    """Serves the requests of one worker until it closes its end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._maildirs = MaildirWriter()
        self._threads: list[threading.Thread] = []
        self._mbox_lock = threading.Lock()
        self._mbox_waiting: dict[str, list[wire.Request]] = {}

    def serve(self) -> None:
        """Until the worker's end is closed; what is under way is brought to its end."""
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        while (group := self._receive_group()) is not None:
            letters = []
            for request in group:
                if request.operation == wire.Operation.MAILDIR:
                    letters.append(request)
                else:
                    self._start(request)
            if letters:
                self._write_letters(letters)
        for thread in self._threads:
            thread.join()

    def _receive_group(self) -> list[wire.Request] | None:
        """What waits now, at least one request; None at the end."""
        group: list[wire.Request] = []
        flags = 0
        while len(group) < _GROUP_LIMIT:
            try:
                packet, files = wire.receive(self._sock, flags)
            except BlockingIOError:
                break
            except (OSError, ValueError):
                return group or None
            if not packet:
                return group or None
            try:
                group.append(wire.unpack(packet, files))
            except (ValueError, StopIteration, OSError):
                for file in files:
                    os.close(file)
                return group or None
            flags = socket.MSG_DONTWAIT
        return group

    def _write_letters(self, requests: list[wire.Request]) -> None:
        letters = []
        for request in requests:
            path, size_limit, create = request.values
            letters.append(Letter(path, (wire.Piece(request.head), request.header, request.body), size_limit, create))
        self._maildirs.deliver(letters)
        self._answer([(r.identifier, _failure(letter.failure)) for r, letter in zip(requests, letters, strict=True)])
        for request in requests:
            if request.files:
                request.release()

    def _answer(self, results: list[tuple[int, Any]]) -> None:
        try:
            self._sock.send(wire.answers(results))
        except OSError:
            return  # the worker is gone: it takes the mail up again, as after any crash

    def _start(self, request: wire.Request) -> None:
        """In a thread of its own; deliveries to one mbox go one after the other, those that wait together in one."""
        if request.operation == wire.Operation.MBOX:
            path = request.values[0]
            with self._mbox_lock:
                waiting = self._mbox_waiting.get(path)
                if waiting is not None:
                    waiting.append(request)
                    return
                self._mbox_waiting[path] = [request]
            self._run_thread(lambda: self._serve_mbox(path))
            return
        served: Callable[[wire.Request], Any] = (
            self._command if request.operation == wire.Operation.COMMAND else self._read
        )
        self._run_thread(lambda: self._serve_one(request, served))

    def _run_thread(self, work: Callable[[], None]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()

    def _serve_one(self, request: wire.Request, served: Callable[[wire.Request], Any]) -> None:
        try:
            result = served(request)
        except Exception:
            result = _INTERNAL
        finally:
            request.release()
        self._answer([(request.identifier, result)])

    def _serve_mbox(self, path: str) -> None:
        while True:
            with self._mbox_lock:
                group = self._mbox_waiting[path]
                if not group:
                    del self._mbox_waiting[path]
                    return
                self._mbox_waiting[path] = []
            self._answer(append_group(path, group))
            for request in group:
                request.release()

    def _command(self, request: wire.Request) -> list[Any]:
        argv, environment, directory, limit, output_limit, daemon, quote_from, dots, eol, tail = request.values
        what = Run(tuple(argv), environment, directory, limit, output_limit, daemon)
        eol = eol.encode("latin-1")
        pieces = (request.header, request.body)

        def content() -> Any:
            head = bytes(request.head)
            yield head if eol == b"\n" else head.replace(b"\n", eol)
            if quote_from or dots or eol != b"\n":
                yield from adapted(pieces, quote_from=quote_from, double_dots=dots, eol=eol)
            else:
                yield from chunks(pieces)
            yield tail.encode("latin-1")

        ran: Ran = run(what, content())
        return [ran.status, ran.output.decode("latin-1"), ran.timed_out, ran.complaint]

    def _read(self, request: wire.Request) -> list[Any]:
        path, limit, follow = request.values
        return read_file(path, limit, follow_links=follow)


def append_group(path: str, group: list[wire.Request], **writing: Any) -> list[tuple[int, Any]]:
    """Deliver requests for one mbox together; the first one's rules hold for all."""
    entries = [mbox.Entry(r.head, (r.header, r.body)) for r in group]
    try:
        mbox.append(path, entries, mbox_rules(group[0].values), **writing)
    except Exception:
        for entry in entries:
            entry.failure = entry.failure or MailboxFailure(*_INTERNAL)
    return [(r.identifier, _failure(entry.failure)) for r, entry in zip(group, entries, strict=True)]


def mbox_rules(values: list[Any]) -> mbox.Rules:
    """The rules that a request asks for."""
    _, locks, attempts, delay, stale, size_limit, quote_from, cannot_open, must_own, any_file = values
    return mbox.Rules(
        locks=tuple(locks),
        patience=Patience(attempts, delay, stale),
        size_limit=size_limit,
        quote_from=quote_from,
        cannot_open=cannot_open,
        owner=os.geteuid(),
        must_own=must_own,
        any_file=any_file,
    )


def read_file(path: str, limit: int, *, follow_links: bool) -> list[Any]:
    """Values of a UserFile: data or None, owner, mode, exists, regular, problem."""
    try:
        found = os.stat(path) if follow_links else os.lstat(path)
    except OSError as error:
        return [None, 0, 0, False, True, os.strerror(error.errno or 0)]
    facts: list[Any] = [found.st_uid, stat.S_IMODE(found.st_mode), True, stat.S_ISREG(found.st_mode)]
    if not facts[3]:
        return [None, *facts, "not a regular file"]
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
        file = os.open(path, flags)
    except OSError as error:
        return [None, *facts, os.strerror(error.errno or 0)]
    try:
        data = os.read(file, limit)
    except OSError as error:
        return [None, *facts, os.strerror(error.errno or 0)]
    finally:
        os.close(file)
    return [data.decode("latin-1"), *facts, ""]


def _failure(failure: MailboxFailure | None) -> list[str] | None:
    return None if failure is None else [failure.dsn, failure.text]
