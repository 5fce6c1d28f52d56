"""postsuper(1): removes (-d), holds (-h, -H), expires (-e, -f) and requeues (-r) mail."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from posthouse.commands.queue_command import Command, Fatal, is_superuser
from posthouse.queue import asking
from posthouse.queue.queue_id import is_queue_id

USAGE = (
    "postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] "
    "[-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] "
    "[-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]"
)


@dataclass(frozen=True, slots=True)
class Action:
    """What an option does: the change, the word for one message and for the total, and queues that ALL stands for."""

    change: str
    done: str
    total: str
    queues: tuple[str, ...]


_LIVE = ("incoming", "active", "deferred")
ACTIONS = {
    "-d": Action("delete", "removed", "Deleted", ("maildrop", *_LIVE, "hold")),
    "-e": Action("expire", "expired", "Force-expired", (*_LIVE, "hold")),
    "-h": Action("hold", "placed on hold", "Placed on hold", _LIVE),
    "-H": Action("release", "released from hold", "Released from hold", ("hold",)),
    "-r": Action("requeue", "requeued", "Requeued", (*_LIVE, "hold")),
}
EXPIRE_AND_RELEASE = "-f"


@dataclass(slots=True)
class Work:
    """Messages by action, in the order of the command line. all_of: actions for ALL."""

    named: list[tuple[str, str]] = field(default_factory=list)
    all_of: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    command = Command("postsuper", USAGE, 1)
    try:
        return _run(command, sys.argv[1:] if arguments is None else arguments)
    except Fatal as fatal:
        return command.die(fatal)


def _run(command: Command, words: Sequence[str]) -> int:
    if not is_superuser():
        raise Fatal("use of this command is reserved for the superuser")
    pairs, queues = command.options(words, "c:d:e:f:h:H:pr:sSv")
    settings = command.load(next((value for option, value in pairs if option == "-c"), None))
    for name in queues:
        if name not in (*asking.QUEUES, "bounce", "defer", "trace", "flush", "corrupt", "saved"):
            raise Fatal(f"invalid directory name: {name}")
    work = _read(command, pairs)
    if not work.asked:
        return 0
    changes = asking.Changes(settings.text("queue_directory"))
    for option in ("-d", "-e", "-f", "-h", "-H", "-r"):
        if option in work.asked:
            _carry_out(command, changes, work, option, tuple(queues))
    changes.finish()
    return 0


def _read(command: Command, pairs: Iterable[tuple[str, str]]) -> Work:
    work = Work()
    for option, value in pairs:
        if option not in ACTIONS and option != EXPIRE_AND_RELEASE:
            continue  # -s, -S and -p: a store needs no such care; -v and -c
        if option not in work.asked:
            work.asked.append(option)
        if value == "ALL":
            work.all_of.append(option)
        else:
            work.named += ((option, name) for name in _valid(command, _names(value)))
    return work


def _names(value: str) -> Iterator[str]:
    """The word itself, or a line each from standard input for "-"."""
    if value != "-":
        yield value
        return
    for line in sys.stdin:
        if line.strip():
            yield line.split()[0].rstrip("*!#")


def _valid(command: Command, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if is_queue_id(name):
            yield name
        else:
            command.warn(f"invalid mail queue id: {name}")


def _carry_out(command: Command, changes: asking.Changes, work: Work, option: str, queues: tuple[str, ...]) -> None:
    """One action for all its messages, and the line that says how many there were."""
    for part in ("-e", "-H") if option == EXPIRE_AND_RELEASE else (option,):
        action, count = ACTIONS[part], 0
        for _, name in (pair for pair in work.named if pair[0] == option):
            if changes.apply(action.change, name):
                count += 1
                command.tell(f"{name}: {action.done}")
        if option in work.all_of:
            chosen = tuple(name for name in queues or action.queues if name in action.queues)
            count += changes.apply_to_all(action.change, chosen) if chosen else 0
        command.tell(f"{action.total}: {count} message{'' if count == 1 else 's'}")


if __name__ == "__main__":
    sys.exit(main())
