"""postgrey(8): greylisting as a daemon for Postfix or Posthouse, with postgrey's options, files and log lines."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from posthouse.errors import ConfigError

if TYPE_CHECKING:
    import socket

    from posthouse.policy.greylist.drop_in import Whitelists
    from posthouse.policy.greylist.store import Store
    from posthouse.system.log import DaemonLog

DATABASE = "posthouse-greylist.db"


class StderrSink:
    """What a daemon in the foreground has to say."""

    def write(self, label: str, process_id: int, severity: str, text: str) -> None:  # noqa: ARG002
        with contextlib.suppress(OSError):
            os.write(2, f"{text}\n".encode("utf-8", "surrogateescape"))


def main(argv: list[str] | None = None) -> int:
    """Runs until it is told to end; 2 where it cannot start."""
    from posthouse.commands.postgrey_options import parse

    given = parse(sys.argv[1:] if argv is None else argv)
    try:
        return _start(given)
    except ConfigError as problem:
        print(f"ERROR: {problem}", file=sys.stderr)
        return 2


def _start(given: argparse.Namespace) -> int:
    from posthouse.policy.greylist.daemon import Listening, open_sockets
    from posthouse.system.privileges import become

    owner = _owner(given)
    if not given.dbdir.startswith("redis") and not os.path.isdir(given.dbdir):
        raise ConfigError(f"can't open database directory: {given.dbdir}")
    sockets = open_sockets(Listening(given.inet, given.unix, given.socketmode, given.listen_queue_size))
    if given.unix and owner is not None:
        os.chown(given.unix, *owner)
    if given.daemonize and os.fork():
        return 0
    if given.daemonize:
        _leave_terminal()
    if given.pidfile:
        _write_pid(given.pidfile, owner)
    try:
        if owner is not None:
            become(*owner)
        _serve(given, sockets)
    finally:
        if given.pidfile:
            with contextlib.suppress(OSError):
                os.unlink(given.pidfile)
    return 0


def _owner(given: argparse.Namespace) -> tuple[int, int] | None:
    """Whom root becomes; None for others, who stay what they are."""
    if os.geteuid() != 0:
        return None
    from posthouse.system.users import find_group_id, find_user

    user = find_user(given.user)
    if user is None:
        raise ConfigError(f'No such user "{given.user}"')
    group = find_group_id(given.group) if given.group else user.gid
    if group is None:
        raise ConfigError(f'No such group "{given.group}"')
    return user.uid, group


def _leave_terminal() -> None:
    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _write_pid(path: str, owner: tuple[int, int] | None) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        if owner is not None:
            os.chown(path, *owner)
    except OSError as problem:
        raise ConfigError(f"cannot write process id to {path}: {problem.strerror}") from problem


def _serve(given: argparse.Namespace, sockets: list[socket.socket]) -> None:
    from posthouse.commands.postgrey_options import engine_options
    from posthouse.policy.greylist.daemon import run
    from posthouse.policy.greylist.drop_in import Books, Postgrey
    from posthouse.policy.policy_connections import PolicyConnections
    from posthouse.system.log import DaemonLog
    from posthouse.system.log_sinks import SyslogSink

    log = DaemonLog("postgrey", SyslogSink(given.syslog_facility) if given.daemonize else StderrSink())
    is_quiet = given.quiet > given.verbose
    books = Books((lambda _line: None) if is_quiet else log.info, log.info, log.error)
    postgrey = Postgrey(engine_options(given), _store(given, log), read_whitelists(given, log), books)

    def reload() -> None:
        log.info("HUP received: reloading whitelists...")
        postgrey.whitelists = read_whitelists(given, log)

    books.tell(f"postgrey of Posthouse listens on {given.unix or given.inet}, process id {os.getpid()}")
    run(sockets, PolicyConnections(postgrey.answer, log.info, one_request=given.exim), reload)


def _store(given: argparse.Namespace, log: DaemonLog) -> Store:
    from posthouse.policy.greylist.patient import PatientStore
    from posthouse.policy.greylist.store import open_store

    location = given.dbdir if given.dbdir.startswith("redis") else os.path.join(given.dbdir, DATABASE)
    return PatientStore(lambda: open_store(location), log.error)


def read_whitelists(given: argparse.Namespace, log: DaemonLog) -> Whitelists:
    """From the files of the options; what is wrong in them is logged, and left out. Where there is no list at all, ours
    is taken.
    """
    from posthouse.commands.postgrey_options import whitelist_files
    from posthouse.policy.greylist.drop_in import Whitelists
    from posthouse.policy.greylist.whitelist import open_files, own_list, read_clients, read_recipients

    files = {what: open_files(*whitelist_files(given, what)) for what in ("clients", "recipients")}
    lists = Whitelists(
        read_clients(files["clients"][0] or ([] if given.whitelist_clients else own_list("clients"))),
        read_recipients(files["recipients"][0] or ([] if given.whitelist_recipients else own_list("recipients"))),
    )
    unread = [problem for _, problems in files.values() for problem in problems]
    for problem in (*unread, *lists.clients.problems, *lists.recipients.problems):
        log.info(problem)
    return lists


if __name__ == "__main__":
    sys.exit(main())
