"""The log lines of master(8) and of the postfix command."""

from __future__ import annotations

COMPATIBLE_VERSION = "3.7.11"

NOT_RUNNING = "the Postfix mail system is not running"
ALREADY_RUNNING = "the Postfix mail system is already running"
STARTING = "starting the Postfix mail system"
STOPPING = "stopping the Postfix mail system"
ABORTING = "aborting the Postfix mail system"
REFRESHING = "refreshing the Postfix mail system"

OLD_DEFAULTS = (
    "Postfix is using backwards-compatible default settings",
    "See http://www.postfix.org/COMPATIBILITY_README.html for details",
    'To disable backwards compatibility use "postconf compatibility_level=3.6" and "postfix reload"',
)


def running(pid: int) -> str:
    return f"the Postfix mail system is running: PID: {pid}"


def started(config_directory: str) -> str:
    return f"daemon started -- version {COMPATIBLE_VERSION}, configuration {config_directory}"


def reloaded(config_directory: str) -> str:
    return f"reload -- version {COMPATIBLE_VERSION}, configuration {config_directory}"


def reload_refused(text: str) -> str:
    return f"reload refused, the old configuration stays in force: {text}"


def terminating(signal_number: int) -> str:
    return f"terminating on signal {signal_number}"


def child_ended(role: str, pid: int, wait_status: int) -> str:
    """A process that ended although nobody asked it to; wait_status as os.waitstatus_to_exitcode gives it."""
    how = f"killed by signal {-wait_status}" if wait_status < 0 else f"exit status {wait_status}"
    return f"process {role} pid {pid} {how}"


def throttled(role: str, seconds: float) -> str:
    return f"{role}: bad command startup -- throttling for {seconds:.0f} s"
