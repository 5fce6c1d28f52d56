"""The processes that master has started: forking them, and how soon a dead one may start again."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from posthouse.backstage.anvil_table import Seat
from posthouse.master.control import Line, pair

CALM_S = 60.0  # a child that lived this long has proved itself
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 60.0
RESET_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGABRT)

FAILED = b"failed "


@dataclass(slots=True)
class Child:
    """A process of the house. role is "agents" or "worker"; slot numbers workers from 0."""

    role: str
    slot: int
    generation: int
    pid: int
    line: Line
    started: float
    is_ready: bool = False
    is_retiring: bool = False
    has_released: bool = False
    failure: str = ""
    seat: Seat | None = None  # where a worker counts its clients

    @property
    def keeps_queue(self) -> bool:
        """Whether it was told to give up its share of the queue, and has not yet."""
        return self.role == "worker" and self.is_retiring and not self.has_released

    def leave_seat(self) -> None:
        """It is dead: the connections that it counted are closed."""
        if self.seat is not None:
            self.seat.vacate()

    @property
    def name(self) -> str:
        return f"{self.role} {self.slot}" if self.role == "worker" else self.role


def fork(role: str, slot: int, generation: int, run: Callable[[Line], int], close: Iterable[Line]) -> Child:
    """Start run in a process of its own; it ends with what run returns. close are lines that are not its business."""
    ours, theirs = pair()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()
    pid = os.fork()
    if pid:
        theirs.close()
        return Child(role, slot, generation, pid, ours, time.monotonic())
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        for number in RESET_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        ours.close()
        for line in close:
            line.close()
        code = run(theirs)
    except BaseException as trouble:  # whatever it is, this process must not go on as a second master
        theirs.say(FAILED + f"{type(trouble).__name__}: {trouble}".encode()[:2000])
        traceback.print_exc()
    finally:
        os._exit(code)


def kill(processes: Iterable[Child], number: signal.Signals) -> None:
    """Send all of them a signal."""
    for child in processes:
        os.kill(child.pid, number)


@dataclass(slots=True)
class Patience:
    """How long to wait before a process that keeps dying is started again."""

    delay: float = 0.0

    def after(self, lived: float) -> float:
        """Seconds to wait now that one ended after so many seconds."""
        if lived > CALM_S:
            self.delay = 0.0
            return 0.0
        current = self.delay
        self.delay = min(LONGEST_DELAY_S, max(FIRST_DELAY_S, self.delay * 2))
        return current


class Restarts:
    """What is to be started again, and when: (moment, role, slot)."""

    def __init__(self) -> None:
        self._patience: dict[str, Patience] = {}
        self._waiting: list[tuple[float, str, int]] = []

    def after(self, child: Child, now: float) -> float:
        """A child has ended; seconds until it is due again."""
        delay = self._patience.setdefault(child.name, Patience()).after(now - child.started)
        self.add(now + delay, child.role, child.slot)
        return delay

    def add(self, when: float, role: str, slot: int) -> None:
        """Start one then."""
        self._waiting.append((when, role, slot))

    def due(self, now: float) -> list[tuple[str, int]]:
        """What is to be started now; it waits no longer."""
        due = [(role, slot) for when, role, slot in self._waiting if when <= now]
        self._waiting = [entry for entry in self._waiting if entry[0] > now]
        return due

    def next(self) -> list[float]:
        """When something is due."""
        return [when for when, _, _ in self._waiting]

    def forget(self) -> None:
        """Start nothing any more."""
        self._waiting.clear()


def current_workers(family: Iterable[Child]) -> list[Child]:
    """The workers that have not been told to retire."""
    return [child for child in family if child.role == "worker" and not child.is_retiring]


def say_to_workers(family: Iterable[Child], word: bytes, fd: int) -> None:
    """A word, with a file, for every worker."""
    for child in family:
        if child.role == "worker":
            child.line.say(word, fd)
