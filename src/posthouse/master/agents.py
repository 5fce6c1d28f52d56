"""The agent host's process: the one that keeps the rights by which mailboxes are written and commands run."""

from __future__ import annotations

import os

from posthouse.master.control import Line
from posthouse.master.setup import Setup
from posthouse.system.log_sinks import Sink

ROLE = "agents"


def run(setup: Setup, sink: Sink, line: Line) -> int:
    """Serve until told to stop, or until master is gone; the exit code."""
    raise NotImplementedError((setup, sink, line, os.getpid()))
