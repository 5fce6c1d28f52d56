"""Signals as something to wait for beside sockets: each wakes the loop, and is acted upon there."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable


class Signals:
    """fileno() becomes readable when a signal has come."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def fileno(self) -> int:
        return self._ours.fileno()

    def catch(self, numbers: Iterable[signal.Signals]) -> None:
        """From now on these are reported here instead of what they would do."""
        signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda _number, _frame: None)

    def caught(self) -> list[int]:
        """Those that have come since the last call, each once."""
        try:
            return list(dict.fromkeys(self._ours.recv(256)))
        except BlockingIOError:
            return []
