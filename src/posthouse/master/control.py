"""The line between master and each of its children: a few words, and now and then an open file."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

WORD_LIMIT = 4096

# From a child
READY = b"ready"  # it serves its sockets
RELEASED = b"released"  # it schedules no mail any more; what it still takes in is for others to deliver
RENEW = b"renew"  # what it read with more rights has changed: a new generation is needed

# To a child
RETIRE = b"retire"  # a new generation is there: release the queue, finish the sessions, end
OWN_QUEUE = b"own queue"  # deliver what is in the queue, too
STOP = b"stop"  # end soon
AGENTS = b"agents"  # a socket to the agent host, which was started again, comes along
NEW_LOG = b"new log"  # go on in the file that comes along


@dataclass(slots=True)
class Line:
    """One end. The words are datagrams of a socket pair; the other end's death reads as b""."""

    sock: socket.socket

    def fileno(self) -> int:
        return self.sock.fileno()

    def say(self, word: bytes, fd: int = -1) -> None:
        """Send a word. A listener that is gone or does not listen is noticed elsewhere."""
        try:
            socket.send_fds(self.sock, [word], [fd] if fd >= 0 else [])
        except OSError:
            return

    def hear(self) -> tuple[bytes, int] | None:
        """The next word with its file (-1 none); None when there is none yet, b"" when the other end is gone."""
        try:
            word, fds, _, _ = socket.recv_fds(self.sock, WORD_LIMIT, 4)
        except BlockingIOError:
            return None
        except OSError:
            return b"", -1
        for extra in fds[1:]:
            os.close(extra)
        return word, fds[0] if fds else -1

    def close(self) -> None:
        self.sock.close()


def pair() -> tuple[Line, Line]:
    """Two ends of a new line."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    return Line(ours), Line(theirs)
