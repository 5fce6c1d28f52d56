"""The agent host's process: the one that keeps the rights by which mailboxes are written and commands run."""

from __future__ import annotations

import os
import signal
import socket

from posthouse.deliver.agent_host import host
from posthouse.master.control import Line
from posthouse.master.setup import Setup
from posthouse.system import processes

ROLE = "agents"


def run(setup: Setup, line: Line) -> int:
    """Serve until master closes the line or ends; the exit code."""
    master = os.getppid()
    processes.die_with_parent(master, signal.SIGTERM)
    _close_all_but(line.fileno())
    line.sock.setblocking(True)
    host.run(line.sock, limits=host.Limits(spool_directories=spool_directories(setup)))
    return 0


def spool_directories(setup: Setup) -> tuple[str, ...]:
    """Where system mailboxes are, in every service's view."""
    views = [setup.settings, *(setup.settings.with_overrides(s.options, s.name) for s in setup.services)]
    return tuple(dict.fromkeys(view.text("mail_spool_directory") for view in views))


def introduce(line: Line) -> socket.socket | None:
    """A new worker's end of a socket to the host; None while the host is not there."""
    try:
        return host.introduce(line.sock)
    except OSError:
        return None


def _close_all_but(kept: int) -> None:
    """Listening sockets and the like are not the host's business."""
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
