"""A worker: one loop that receives mail on all services, cleans it up, keeps its share of the queue and delivers it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import traceback
from dataclasses import dataclass
from typing import Any

import uvloop

from posthouse.backstage.anvil_table import Seat
from posthouse.lookup import notices
from posthouse.master import control
from posthouse.master.control import Line
from posthouse.master.keys import KeyDesk
from posthouse.master.private_tables import open_private_tables
from posthouse.master.setup import Setup
from posthouse.master.wiring import Wiring
from posthouse.system import processes
from posthouse.system.key_files import KeyFiles
from posthouse.system.log import DaemonLog
from posthouse.system.log_sinks import Sink

GARBAGE_THRESHOLD = 50_000
LONG_GRACE_S = 4.0  # for sessions and deliveries at the end
SHORT_GRACE_S = 0.3  # when master is dead: another may be about to start


@dataclass(slots=True)
class Lines:
    """A worker's ways to the rest of the house: to master, to the agent host (None while that is down), and to the
    table where all workers count clients (None where there is no room at it).
    """

    master: Line
    agents: socket.socket | None
    seat: Seat | None


def run(setup: Setup, sink: Sink, lines: Lines, slot: int, *, owns_queue: bool) -> int:
    """The process: becomes mail_owner, serves until told to end, returns the exit code."""
    master = os.getppid()
    processes.raise_file_limit()
    if processes.runs_as_root():
        open_private_tables(setup)
        processes.drop_privileges(setup.settings.text("mail_owner"))
    processes.die_with_parent(master)
    gc.unfreeze()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)
    worker = Worker(setup, sink, lines, slot)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(worker.live(owns_queue=owns_queue))


class Worker:
    """The life of one worker process."""

    def __init__(self, setup: Setup, sink: Sink, lines: Lines, slot: int) -> None:
        self._sink, self._line, self._master = sink, lines.master, os.getppid()
        self._log = DaemonLog(f"{setup.settings.text('syslog_name')}/worker", sink)
        self._wiring = Wiring(setup, sink, slot, lines.agents, lines.seat)
        self._keys = KeyDesk(lines.master)
        notices.on_out_of_reach(self._ask_for_new_generation)
        self._wiring.house.key_files = KeyFiles(setup.keys, self._keys.open)
        self._ending = asyncio.Event()
        self._is_retiring = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def live(self, *, owns_queue: bool) -> int:
        """From the first listening socket to the last closed store."""
        loop = asyncio.get_running_loop()
        self._sink.attach(loop)
        loop.set_exception_handler(self._complain)
        await self._wiring.open()
        loop.add_reader(self._line.fileno(), self._listen)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        self._line.say(control.READY)
        if owns_queue:
            self._wiring.own_queue()
        await self._ending.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._wiring.close(LONG_GRACE_S if os.getppid() == self._master else SHORT_GRACE_S)
        self._sink.detach()
        return 0

    def _ask_for_new_generation(self, path: str) -> None:
        """A table that was read before rights were dropped has changed."""
        if not self._is_retiring:
            self._log.info(f"table {path} has changed and is for root to read: new workers are started")
            self._line.say(control.RENEW)

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught: a mistake of ours, for the log with its traceback."""
        trouble = context.get("exception")
        self._log.error(f"{context.get('message', 'unexpected')}: {type(trouble).__name__}: {trouble}")
        if isinstance(trouble, BaseException):
            for text in "".join(traceback.format_exception(trouble)).splitlines():
                self._log.error(text)

    def _listen(self) -> None:
        while (heard := self._line.hear()) is not None:
            word, fd = heard
            if word == control.NEW_LOG and fd >= 0:
                self._sink.replace(fd)
            elif word == control.AGENTS and fd >= 0:
                self._wiring.reach_agents(socket.socket(fileno=fd))
            elif not self._keys.take(word, fd) and fd >= 0:
                os.close(fd)
            if not word or word == control.STOP:
                asyncio.get_running_loop().remove_reader(self._line.fileno())
                self._ending.set()
                return
            self._take_word(word)

    def _take_word(self, word: bytes) -> None:
        if word == control.OWN_QUEUE:
            self._wiring.own_queue()
        elif word == control.RETIRE and not self._is_retiring:
            self._is_retiring = True
            task = asyncio.get_running_loop().create_task(self._retire())
            self._tasks.add(task)
            task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (trouble := task.exception()) is not None:
            self._complain(task.get_loop(), {"message": "the queue was not handed over", "exception": trouble})

    async def _retire(self) -> None:
        """Hand the queue over, let sessions come to their end, and end."""
        await self._wiring.release()
        self._line.say(control.RELEASED)
        await self._wiring.sessions_ended()
        self._ending.set()
