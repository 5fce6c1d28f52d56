"""The one process beside master that keeps root's rights: it makes and locks mailboxes in mail_spool_directory, where
only root may, and writes them with the rights of their owner (local(8)). One per user; it does nothing else.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

from posthouse.deliver.agent_host import wire
from posthouse.deliver.agent_host.child import _failure, mbox_rules
from posthouse.deliver.mailbox import mbox
from posthouse.deliver.mailbox.failures import MailboxFailure
from posthouse.system.privileges import rights_of


@dataclass(slots=True)
class SpoolChild:
    """Appends to the mailboxes of one user in the spool directories that the host was started with."""

    sock: socket.socket
    uid: int
    gid: int
    directories: tuple[str, ...]

    def serve(self) -> None:
        """Until the worker closes its end."""
        while True:
            try:
                packet, files = wire.receive(self.sock)
                request = wire.unpack(packet, files) if packet else None
            except (OSError, ValueError, StopIteration):
                return
            if request is None:
                return
            entry = mbox.Entry(request.head, (request.header, request.body))
            try:
                self._append(request, entry)
            except MailboxFailure as failure:
                entry.failure = failure
            except Exception:
                entry.failure = MailboxFailure("4.3.0", "mail system trouble on this side")
            request.release()
            try:
                self.sock.send(wire.answers([(request.identifier, _failure(entry.failure))]))
            except OSError:
                return

    def _append(self, request: wire.Request, entry: mbox.Entry) -> None:
        path = request.values[0]
        directory, _, name = path.rpartition("/")
        if request.operation != wire.Operation.MBOX or not self._is_own(directory, name):
            raise MailboxFailure("4.3.0", f"{path} is not a system mailbox of uid {self.uid}")
        rules = replace(mbox_rules(request.values), owner=self.uid)
        mode = os.stat(directory).st_mode
        writing: Callable[[], contextlib.AbstractContextManager[None]] = lambda: rights_of(self.uid, self.gid)  # noqa: E731
        if mode & 0o002:
            # Everybody may make files there: do it all as the user.
            with rights_of(self.uid, self.gid):
                mbox.append(path, [entry], rules)
        elif mode & 0o020:
            with rights_of(self.uid, os.stat(directory).st_gid):
                mbox.append(path, [entry], replace(rules, make_for=None))
        else:
            mbox.append(path, [entry], replace(rules, make_for=(self.uid, self.gid)), writing)

    def _is_own(self, directory: str, name: str) -> bool:
        """Whether the file is the mailbox of a user with our number, in one of the spool directories."""
        if directory.rstrip("/") not in self.directories or not name or name in (".", ".."):
            return False
        try:
            return pwd.getpwnam(name).pw_uid == self.uid
        except KeyError:
            return False
