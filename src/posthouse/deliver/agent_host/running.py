"""Runs a command for a message: content on its standard input, the start of its output kept, an end at its limit."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

_TEMPORARY = 75  # EX_TEMPFAIL of sysexits(3)
_READ = 65536


@dataclass(frozen=True, slots=True)
class Run:
    """What to run; limit is in seconds, output_limit in bytes. daemon is the name that complains when it cannot run."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    directory: str
    limit: float
    output_limit: int
    daemon: str


@dataclass(frozen=True, slots=True)
class Ran:
    """status is the exit status, negative for a signal; timed_out where the limit ended it. complaint: why it could not
    be run at all, "" where it could.
    """

    status: int
    output: bytes
    timed_out: bool = False
    complaint: str = ""


def run(what: Run, content: Iterator[bytes]) -> Ran:
    """Run to the end, or kill the process group at the limit. Never raises for a command that cannot be run."""
    try:
        process = subprocess.Popen(
            what.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=what.directory or None,
            env=what.environment,
            start_new_session=True,
            restore_signals=False,  # as in Postfix, a command that writes to a closed pipe sees an error, no signal
        )
    except OSError as error:
        return _not_run(what, error)
    except ValueError as error:
        return _not_executed(what, f"{what.argv[0]!r}: {error}")
    with process:
        return _follow(process, what, content)


def _not_run(what: Run, error: OSError) -> Ran:
    words = os.strerror(error.errno) if error.errno else str(error)
    if what.directory and error.filename == what.directory and what.argv[0] != what.directory:
        place = f'"{what.directory}" for uid={os.geteuid()} gid={os.getegid()}'
        return Ran(_TEMPORARY, b"", complaint=f"cannot change directory to {place}: {words}")
    return _not_executed(what, f"{what.argv[0]}: {words}")


def _not_executed(what: Run, words: str) -> Ran:
    place = "" if what.daemon == "local" else "pipe_command: "
    complaint = f"{place}execvp {words}"
    return Ran(_TEMPORARY, f"{what.daemon}: fatal: {complaint}\n".encode(), complaint=complaint)


def _follow(process: subprocess.Popen[bytes], what: Run, content: Iterator[bytes]) -> Ran:
    deadline = time.monotonic() + what.limit
    output = bytearray()
    try:
        _feed_and_read(process, content, output, what.output_limit, deadline)
        process.wait(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return Ran(-signal.SIGKILL, bytes(output), timed_out=True)
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
    return Ran(process.returncode, bytes(output))


def _feed_and_read(
    process: subprocess.Popen[bytes], content: Iterator[bytes], output: bytearray, limit: int, deadline: float
) -> None:
    """Until its output ends. Raises TimeoutError."""
    source, sink = process.stdin, process.stdout
    if source is None or sink is None:
        return
    os.set_blocking(source.fileno(), False)
    waiting = memoryview(b"")
    with selectors.DefaultSelector() as selector:
        selector.register(sink, selectors.EVENT_READ)
        selector.register(source, selectors.EVENT_WRITE)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in selector.select(left):
                if key.fileobj is sink:
                    data = os.read(sink.fileno(), _READ)
                    if not data:
                        return
                    output += data[: limit - len(output)] if len(output) < limit else b""
                else:
                    waiting, more = _feed(source.fileno(), waiting, content)
                    if not more:
                        selector.unregister(source)
                        source.close()


def _feed(file: int, waiting: memoryview, content: Iterator[bytes]) -> tuple[memoryview, bool]:
    """Write what the pipe takes; what waits now, and whether there is more. A command need not read its input."""
    while not waiting:
        try:
            waiting = memoryview(next(content))
        except StopIteration:
            return waiting, False
    try:
        return waiting[os.write(file, waiting) :], True
    except BlockingIOError:
        return waiting, True
    except OSError:
        return memoryview(b""), False
