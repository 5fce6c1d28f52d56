"""The agent host: started by master with its rights, it makes the processes that act as other users, and nothing else.

It reads only fixed requests from its own house's workers (wire.py). For a worker that asks for the rights of a user it
makes a child, and gives the worker a socket to it; mail then goes from worker to child without passing here.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import signal
import socket
import time
from dataclasses import dataclass, field
from typing import Any, NoReturn

from posthouse.deliver.agent_host import wire
from posthouse.deliver.agent_host.child import Child
from posthouse.deliver.agent_host.spool import SpoolChild
from posthouse.system.privileges import become, may_become

_TICK = 1.0
_KEPT_BELOW = 3  # standard input, output and error


@dataclass(frozen=True, slots=True)
class Limits:
    """What the host may do: the directories of system mailboxes (mail_spool_directory), how many children at a time,
    whether root's own rights are ever given (only to its mailbox in a spool directory).
    """

    spool_directories: tuple[str, ...] = ("/var/mail",)
    children: int = 400


class RefusedRights(Exception):
    """A request that the host does not grant; the text goes into the reason of the deferral."""


@dataclass(slots=True)
class AgentHost:
    """The loop of the host process. workers are the host's ends of the workers' sockets."""

    limits: Limits = field(default_factory=Limits)
    workers: list[socket.socket] = field(default_factory=list)
    _children: dict[int, float] = field(default_factory=dict)  # process id -> when to kill it (monotonic, 0 never)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def serve(self, control: socket.socket | None) -> None:
        """Until master closes the control socket, or, without one, until the last worker has gone."""
        if control is not None:
            self._selector.register(control, selectors.EVENT_READ, "control")
        for worker in self.workers:
            self._selector.register(worker, selectors.EVENT_READ, "worker")
        while self._selector.get_map():
            for key, _ in self._selector.select(_TICK if self._children else None):
                sock = key.fileobj
                if not isinstance(sock, socket.socket):
                    continue
                if key.data == "control":
                    if not self._adopt(sock):
                        return
                elif not self._serve_worker(sock):
                    self._selector.unregister(sock)
                    sock.close()
            self._reap()

    def _adopt(self, control: socket.socket) -> bool:
        """Take in the sockets of new workers; False at the end."""
        try:
            packet, files = wire.receive(control)
        except (OSError, ValueError):
            return False
        for file in files:
            self._selector.register(socket.socket(fileno=file), selectors.EVENT_READ, "worker")
        return bool(packet)

    def _serve_worker(self, worker: socket.socket) -> bool:
        try:
            packet, files = wire.receive(worker)
            if not packet:
                return False
            request = wire.unpack(packet, files)
        except (OSError, ValueError, StopIteration):
            return False
        try:
            self._serve_request(worker, request)
        finally:
            request.release()
        return True

    def _serve_request(self, worker: socket.socket, request: wire.Request) -> None:
        given: socket.socket | None = None
        try:
            if len(self._children) >= self.limits.children:
                raise RefusedRights("too many delivery processes")  # noqa: TRY301
            if request.operation == wire.Operation.OPEN:
                given = self._open(*request.values)
            elif request.operation == wire.Operation.SPAWN and request.files:
                self._spawn(request.values, request.files[0])
            else:
                raise RefusedRights("unknown request")  # noqa: TRY301
            result: list[str] | None = None
        except RefusedRights as refused:
            result = ["4.3.0", str(refused)]
        except (OSError, ValueError, TypeError) as error:
            result = ["4.3.0", f"cannot start a delivery process: {error}"]
        try:
            wire.send(worker, [wire.answer(request.identifier, result)], [given.fileno()] if given else [])
        except OSError:
            pass  # the worker is gone; it will be seen at the next read
        finally:
            if given:
                given.close()

    def _open(self, uid: int, gid: int, kind: str, chroot: str) -> socket.socket:
        """A child with these rights; the worker's end of the socket to it."""
        _check_rights(uid, gid, kind)
        if chroot and (os.geteuid() != 0 or not chroot.startswith("/")):
            raise RefusedRights(f"cannot change the root directory to {chroot}")
        own, theirs = wire.socket_pair()
        process = os.fork()
        if process == 0:
            self._become_child(theirs, (uid, gid), kind, chroot)
        theirs.close()
        self._children[process] = 0.0
        return own

    def _become_child(self, sock: socket.socket, rights: tuple[int, int], kind: str, chroot: str) -> NoReturn:
        status = 1
        try:
            _close_all_but(sock.fileno())
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, lambda *_: None)  # ignored here; commands have it as usual
            os.umask(0o077)
            uid, gid = rights
            if kind == "spool":
                SpoolChild(sock, uid, gid, self.limits.spool_directories).serve()
            else:
                if chroot:
                    os.chroot(chroot)
                    os.chdir("/")
                become(uid, gid)
                Child(sock).serve()
            status = 0
        except Exception:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)

    def _spawn(self, values: list[Any], connection: int) -> None:
        """Run a command with a connection as its standard input and output (spawn(8))."""
        uid, gid, argv, environment, limit = values
        _check_rights(uid, gid, "command")
        if not argv:
            raise RefusedRights("no command")
        process = os.fork()
        if process == 0:
            try:
                for target in range(_KEPT_BELOW):
                    os.dup2(connection, target)
                _close_all_but(-1)
                os.setsid()
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGHUP):
                    signal.signal(number, signal.SIG_DFL)
                become(uid, gid)
                os.execvpe(argv[0], argv, environment)
            finally:
                os._exit(126)
        self._children[process] = time.monotonic() + limit if limit else 0.0

    def _reap(self) -> None:
        while self._children:
            try:
                process, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children.clear()
                return
            if process == 0:
                break
            self._children.pop(process, None)
        now = time.monotonic()
        for process, deadline in self._children.items():
            if deadline and now > deadline:
                with contextlib.suppress(OSError):
                    os.killpg(process, signal.SIGKILL)


def _check_rights(uid: int, gid: int, kind: str) -> None:
    """Raises RefusedRights: root's rights are given to nobody, and nobody's but our own unless we are root."""
    if kind == "spool":
        if os.geteuid() != 0 and os.geteuid() != uid:
            raise RefusedRights(_not_root(uid, gid))
        return
    if os.geteuid() == 0 and (uid == 0 or gid == 0):
        raise RefusedRights("mail is not delivered with the rights of root")
    if not may_become(uid, gid):
        raise RefusedRights(_not_root(uid, gid))


def _not_root(uid: int, gid: int) -> str:
    try:
        own = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        own = str(os.geteuid())
    return f"cannot deliver as user {uid} group {gid}: the mail system was started by {own}, not by root"


def _close_all_but(kept: int) -> None:
    limit = os.sysconf("SC_OPEN_MAX")
    if kept >= _KEPT_BELOW:
        os.closerange(_KEPT_BELOW, kept)
        os.closerange(kept + 1, limit)
    else:
        os.closerange(_KEPT_BELOW, limit)


def run(
    control: socket.socket | None, workers: list[socket.socket] | None = None, limits: Limits | None = None
) -> None:
    """Be the agent host: in a process that master has forked for it, before anything else runs there. Returns when the
    control socket's other end is closed (or, without one, all workers' ends are).

    A new worker is made known by sending one packet with its socket's host end over control (introduce).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    AgentHost(limits or Limits(), workers or []).serve(control)


def introduce(control: socket.socket) -> socket.socket:
    """Master's side: make a worker's socket and give its other end to the host; the worker's end. Raises OSError."""
    own, theirs = wire.socket_pair()
    try:
        wire.send(control, [b"worker"], [theirs.fileno()])
    except BaseException:
        own.close()
        raise
    finally:
        theirs.close()
    return own
