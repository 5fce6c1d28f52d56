"""master(8): starts the processes of the house, keeps them running, replaces them on reload, and ends them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable

from posthouse.backstage.anvil import shared_table
from posthouse.errors import PosthouseError
from posthouse.maillog import master as says
from posthouse.master import agents, children, control, keys, logs, setup, worker
from posthouse.master.children import Child, Restarts, current_workers
from posthouse.master.control import Line
from posthouse.master.signals import Signals
from posthouse.system.log import DaemonLog
from posthouse.system.log_sinks import Sink

STOP_LIMIT_S = 20.0
IDLE_S = 3600.0
CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGABRT)


class Master:
    """The one process that has the rights of whoever started it. run() returns its exit code."""

    def __init__(self, first: setup.Setup, sink: Sink, announce: Callable[[str], None]) -> None:
        self._setup, self._sink, self._announce = first, sink, announce
        self._log = DaemonLog(f"{first.settings.text('syslog_name')}/master", sink)
        self._children: dict[int, Child] = {}
        self._restarts = Restarts()
        self._anvil_table = shared_table()
        self._reload_again = False
        self._former: setup.Setup | None = None  # until the new generation is ready
        self._announced = self._stopping = False
        self._deadline = 0.0
        self._exit_code = 0
        self._selector = selectors.PollSelector()
        self._signals = Signals()

    def run(self) -> int:
        """Until a signal ends it."""
        self._signals.catch(CAUGHT)
        self._selector.register(self._signals.fileno(), selectors.EVENT_READ, None)
        self._start_agents()
        self._start_generation()
        while not (self._stopping and not self._children):
            for key, _ in self._selector.select(self._patience_left()):
                if key.data is None:
                    self._take_signals()
                elif key.data.pid in self._children:  # else it was buried just now
                    self._listen_to(key.data)
            self._on_time()
        self._sink.flush()
        return self._exit_code

    def _take_signals(self) -> None:
        for number in self._signals.caught():
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP:
                self._reload()
            elif number == signal.SIGUSR1:
                self._reopen_log()
            else:
                self._stop(number)

    def _stop(self, number: int) -> None:
        if not self._stopping:
            self._log.info(says.terminating(number))
        self._stopping = True
        self._restarts.forget()
        self._deadline = time.monotonic() + STOP_LIMIT_S
        for child in self._children.values():
            if number == signal.SIGABRT:
                os.kill(child.pid, signal.SIGKILL)
            elif child.role == "worker":
                child.line.say(control.STOP)
        self._stop_agents_when_alone()

    def _stop_agents_when_alone(self) -> None:
        """The agents end last: workers finish their deliveries with them."""
        if all(child.role == agents.ROLE for child in self._children.values()):
            children.kill(self._children.values(), signal.SIGTERM)

    def _patience_left(self) -> float:
        now = time.monotonic()
        return max(0.0, min([*self._restarts.next(), self._deadline if self._stopping else now + IDLE_S]) - now)

    def _on_time(self) -> None:
        now = time.monotonic()
        for role, slot in self._restarts.due(now):
            if role == agents.ROLE:
                self._start_agents()
            elif slot < self._setup.workers:
                self._start_worker(slot)
        if self._stopping and now >= self._deadline:
            self._deadline = now + STOP_LIMIT_S
            children.kill(self._children.values(), signal.SIGKILL)

    def _fork(self, role: str, slot: int, run: Callable[[Line], int]) -> Child:
        child = children.fork(role, slot, self._setup.generation, run, [c.line for c in self._children.values()])
        self._children[child.pid] = child
        self._selector.register(child.line, selectors.EVENT_READ, child)
        return child

    def _start_agents(self) -> None:
        host = self._fork(agents.ROLE, 0, lambda line: agents.run(self._setup, line))
        for child in self._children.values():
            if child.role == "worker" and (sock := agents.introduce(host.line)) is not None:
                with sock:
                    child.line.say(control.AGENTS, sock.fileno())

    def _start_worker(self, slot: int) -> None:
        alone = self._former is None and not any(child.keeps_queue for child in self._children.values())
        current, former, sink = self._setup, self._former, self._sink
        host = next((child for child in self._children.values() if child.role == agents.ROLE), None)
        sock = agents.introduce(host.line) if host is not None else None
        seat = self._anvil_table.seat()

        def run(line: Line) -> int:
            setup.forget_unused(former, current)
            return worker.run(current, sink, worker.Lines(line, sock, seat), slot, owns_queue=alone)

        self._fork("worker", slot, run).seat = seat
        if sock is not None:
            sock.close()

    def _start_generation(self) -> None:
        for slot in range(self._setup.workers):
            self._start_worker(slot)

    def _listen_to(self, child: Child) -> None:
        while (heard := child.line.hear()) is not None:
            word, fd = heard
            if fd >= 0:
                os.close(fd)
            if not word:
                self._selector.unregister(child.line)
                return
            self._take_word(child, word)

    def _take_word(self, child: Child, word: bytes) -> None:
        if word == control.READY:
            child.is_ready = True
            self._when_all_ready()
        elif word == control.RELEASED:
            child.has_released = True
            self._when_all_released()
        elif word == control.RENEW and not child.is_retiring:
            self._reload()
        elif word.startswith(keys.KEY):
            keys.answer(child.line, word, self._setup.key_paths)
        elif word.startswith(children.FAILED):
            child.failure = word.removeprefix(children.FAILED).decode("utf-8", "replace")
            self._log.error(f"{child.name}: {child.failure}")

    def _when_all_ready(self) -> None:
        new = [child for child in self._children.values() if child.generation == self._setup.generation]
        workers = [child for child in new if child.role == "worker"]
        if len(workers) < self._setup.workers or not all(child.is_ready for child in workers):
            return
        if not self._announced:
            self._announced = True
            self._log.info(says.started(self._setup.settings.config_directory))
            self._sink.flush()
            self._announce("")
        if self._former is not None:
            self._retire_former()

    def _when_all_released(self) -> None:
        if any(child.is_retiring and not child.has_released for child in self._children.values()):
            return
        for child in current_workers(self._children.values()):
            child.line.say(control.OWN_QUEUE)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if (child := self._children.pop(pid, None)) is not None:
                child.leave_seat()
                self._listen_to_the_last(child)
                self._bury(child, os.waitstatus_to_exitcode(status))
        if self._stopping:
            self._stop_agents_when_alone()

    def _listen_to_the_last(self, child: Child) -> None:
        with contextlib.suppress(KeyError):
            self._listen_to(child)
        with contextlib.suppress(KeyError):
            self._selector.unregister(child.line)
        child.line.close()

    def _bury(self, child: Child, code: int) -> None:
        if child.is_retiring:
            child.has_released = True
            self._when_all_released()
            return
        if self._stopping:
            return
        self._log.warning(says.child_ended(child.name, child.pid, code))
        if not self._announced:
            self._announce(child.failure or says.child_ended(child.name, child.pid, code))
            self._announced, self._exit_code = True, 1
            self._stop(signal.SIGTERM)
        elif self._former is not None and child.role == "worker" and child.generation == self._setup.generation:
            self._take_reload_back(child)
        elif self._former is None or child.role != "worker":
            self._start_again(child)

    def _start_again(self, child: Child) -> None:
        if delay := self._restarts.after(child, time.monotonic()):
            self._log.warning(says.throttled(child.name, delay))

    def _reload(self) -> None:
        if self._stopping:
            return
        self._reload_again = self._former is not None  # the last one is still under way: read the files once more
        if self._reload_again:
            return
        try:
            new = setup.read(self._setup.settings.config_directory, self._setup.generation + 1)
            setup.prepare_folders(new)
            setup.open_sockets(new, self._setup.sockets)
        except (PosthouseError, OSError) as trouble:
            self._log.error(says.reload_refused(str(trouble)))
            return
        for text in new.warnings:
            self._log.warning(text)
        self._log.info(says.reloaded(new.settings.config_directory))
        self._former, self._setup = self._setup, new
        self._reopen_log()
        self._start_generation()

    def _reload_if_asked_again(self) -> None:
        if self._reload_again:
            self._reload()

    def _retire_former(self) -> None:
        """The new generation serves: the old one stops listening, hands over the queue and finishes its sessions."""
        former, self._former = self._former or self._setup, None
        setup.close_unused(former, self._setup)
        for child in self._children.values():
            if child.role == "worker" and child.generation < self._setup.generation and not child.is_retiring:
                child.is_retiring = True
                child.line.say(control.RETIRE)
        self._when_all_released()
        self._reload_if_asked_again()

    def _take_reload_back(self, failed: Child) -> None:
        former, self._former = self._former or self._setup, None
        self._log.error(says.reload_refused(failed.failure or f"{failed.name} did not start"))
        for child in current_workers(self._children.values()):
            if child.generation == self._setup.generation:
                child.is_retiring = True
                child.line.say(control.STOP)
        setup.close_unused(self._setup, former)
        self._setup = former
        there = {child.slot for child in current_workers(self._children.values())}
        for slot in set(range(former.workers)) - there:  # it died meanwhile, and its successor is not to be
            self._restarts.add(time.monotonic(), "worker", slot)
        self._reload_if_asked_again()

    def _reopen_log(self) -> None:
        fd = logs.open_file(self._setup.settings)
        if fd >= 0:
            children.say_to_workers(self._children.values(), control.NEW_LOG, fd)
            self._sink.replace(fd)
