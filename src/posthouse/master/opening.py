"""`postfix start`: from two files to a house whose doors are open, or to a reason why not (master(8))."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import time
import traceback
from collections.abc import Callable

from posthouse.errors import ConfigError
from posthouse.master import pid_file, setup
from posthouse.system import processes
from posthouse.system.log import DaemonLog
from posthouse.system.log_sinks import Sink

START_LIMIT_S = 60.0
LOCK_PATIENCE_S = 15.0

# What others import when first used.
LAZY_MODULES = (
    "asyncio.base_subprocess",
    "concurrent.futures.thread",
    "encodings.idna",
    "encodings.punycode",
    "stringprep",
    "multiprocessing.connection",
    "pcre2",
    "lmdb",
    "sqlite3",
    "ssl",
    "spf",
    "dns.asyncresolver",
    "email.utils",
    "traceback",
    "linecache",
    "importlib.metadata",
    "selectors",
    "cryptography.x509",
    "passlib.hash",
)

Announce = Callable[[str], None]


def open_house(first: setup.Setup, sink: Sink, *, foreground: bool = False) -> int:
    """Start master. In the background: 0 once every worker serves. In the foreground: its exit code, at its end.

    Raises ConfigError where it cannot start, AlreadyRunning where it runs.
    """
    setup.prepare_folders(first)
    lock = _take_lock(first.queue_directory)
    setup.open_sockets(first, {})
    preload()
    if foreground:
        pid_file.write(lock, os.getpid())
        return _master(first, sink, lambda _trouble: None)
    return _in_background(first, sink, lock)


def _take_lock(queue_directory: str) -> int:
    """The lock of the house. Workers whose master was killed hold it until they have ended, which is soon."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return pid_file.take(queue_directory)
        except pid_file.AlreadyRunning as other:
            if (other.pid and is_alive(other.pid)) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process of that number runs; one that is as good as dead does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_ended(pid)


def _in_background(first: setup.Setup, sink: Sink, lock: int) -> int:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return _wait_for_news(reading, pid)
    code = 1
    try:
        os.close(reading)
        os.chdir(first.queue_directory)
        processes.leave_terminal()
        pid_file.write(lock, os.getpid())
        code = _master(first, sink, lambda trouble: _tell(writing, trouble))
    except Exception as trouble:
        _tell(writing, f"{type(trouble).__name__}: {trouble}")
        raise
    finally:
        sink.flush()
        os._exit(code)


def _master(first: setup.Setup, sink: Sink, announce: Announce) -> int:
    from posthouse.master.supervisor import Master

    try:
        return Master(first, sink, announce).run()
    except Exception as trouble:
        _complain(DaemonLog(f"{first.settings.text('syslog_name')}/master", sink), trouble)
        raise


def _complain(log: DaemonLog, trouble: Exception) -> None:
    """A mistake of ours that ends the house must not do so in silence."""
    for line in "".join(traceback.format_exception(trouble)).splitlines():
        log.error(line)


def _tell(fd: int, trouble: str) -> None:
    try:
        os.write(fd, f"{trouble}\n".encode())
        os.close(fd)
    except OSError:
        return


def _wait_for_news(fd: int, pid: int) -> int:
    """Until master says that it serves (an empty line) or why it does not. Raises ConfigError for a reason."""
    import select

    heard = b""
    deadline = time.monotonic() + START_LIMIT_S
    while b"\n" not in heard and (left := deadline - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            chunk = os.read(fd, 4096)
            if not chunk:
                break
            heard += chunk
    os.close(fd)
    if heard == b"\n":
        return 0
    raise ConfigError(heard.decode("utf-8", "replace").strip() or f"master process {pid} ended without a word")


def preload() -> None:
    """Import the whole house before workers are forked: they share its memory and start at once.

    Afterwards they have other rights, with which Python's own files may be out of reach.
    """
    import pkgutil

    import posthouse

    for package in sorted(module.name for module in pkgutil.iter_modules(posthouse.__path__) if module.ispkg):
        if package != "commands":
            _import_all(f"posthouse.{package}")
    for name in LAZY_MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _import_all(name: str) -> None:
    import pkgutil

    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__, f"{name}."):
        if module.ispkg:
            _import_all(module.name)
        else:
            with contextlib.suppress(ImportError):  # a table type whose library is not installed, say
                importlib.import_module(module.name)


def running_pid(queue_directory: str) -> int:
    """The process id of the running master, 0 for none."""
    pid = pid_file.running(queue_directory)
    return pid if pid and is_alive(pid) else 0


def wait_until_gone(queue_directory: str, pid: int, limit: float) -> bool:
    """Wait until the lock is free, so that nothing of the house is left; whether it came to that."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            os.close(pid_file.take(queue_directory))
        except pid_file.AlreadyRunning:
            time.sleep(0.02)
        else:
            return not is_alive(pid)
    return False


def _is_ended(pid: int) -> bool:
    """Whether the process only waits to be fetched by its parent, or for a processor to die on (SIGKILL is pending)."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            said = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        pending = int(said["SigPnd"], 16) | int(said["ShdPnd"], 16)
        return said["State"][:1] in "ZX" or bool(pending >> (signal.SIGKILL - 1) & 1)
    except (OSError, KeyError, ValueError):
        return False
