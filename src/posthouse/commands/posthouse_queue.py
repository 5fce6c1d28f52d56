"""posthouse queue: what waits, for whom and why; and hold, release, delete, flush or requeue just that part of it."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from posthouse.commands import authorized_users
from posthouse.commands.queue_command import Command, Fatal
from posthouse.config.settings import Settings
from posthouse.queue import asking
from posthouse.queue.causes import UNKNOWN, normalised
from posthouse.queue.selection import NULL_SENDER, Row, Selection, age_in_seconds, domain_of

EX_USAGE, EX_UNAVAILABLE, EX_NOPERM = 64, 69, 77
SHOWN_GROUPS = 20
PORTION = 20_000  # queue ids in one request to a worker
SLOW = 2000  # messages from which on a bar shows how far it is

LIVE = ("incoming", "active", "deferred")


@dataclass(frozen=True, slots=True)
class Action:
    """What a word does: its verb, its past, and the queues in which it has anything to change."""

    verb: str
    done: str
    queues: tuple[str, ...]


ACTIONS = {
    "flush": Action("try now", "to be tried now", LIVE),
    "hold": Action("put on hold", "put on hold", LIVE),
    "release": Action("release", "released", ("hold",)),
    "delete": Action("delete", "deleted", (*LIVE, "hold", "maildrop")),
    "requeue": Action("requeue", "requeued", (*LIVE, "hold")),
}


@dataclass(slots=True)
class Group:
    """Messages of one destination, cause or sender. oldest is a Unix time (s), size in bytes."""

    messages: int = 0
    recipients: int = 0
    size: int = 0
    oldest: float = field(default_factory=time.time)
    example: str = ""

    def add(self, row: Row, recipients: int, example: str) -> None:
        self.messages += 1
        self.recipients += recipients
        self.size += row[3]
        self.oldest = min(self.oldest, row[2])
        self.example = self.example or example


def main(argv: Sequence[str] | None = None) -> int:
    """0 when done; 1 when nothing was changed because nobody agreed; the codes of sysexits.h otherwise."""
    command = Command("posthouse-queue", "posthouse queue --help", EX_USAGE)
    options = _parser().parse_intermixed_args(sys.argv[1:] if argv is None else list(argv))
    try:
        settings = command.load(options.config_dir)
        return _run(command, settings, options)
    except Fatal as fatal:
        return command.die(fatal)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except (PermissionError, sqlite3.OperationalError) as refused:
        return command.die(Fatal(f"the queue cannot be changed by this user: {refused}", EX_NOPERM))


def _age(text: str) -> float:
    try:
        return age_in_seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; say 90s, 30m, 2h, 5d or 1w") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="posthouse queue",
        description="Without a word: what waits for which destination, and for which causes.",
        epilog="Patterns may have * and ?. Changes show their count and ask before they are made.",
    )
    parser.add_argument("action", nargs="?", default="list", choices=["list", "show", *ACTIONS], metavar="WORD",
                        help="list (default), show, " + ", ".join(ACTIONS))  # fmt: skip
    parser.add_argument("ids", nargs="*", metavar="QUEUE_ID", help="only these messages")
    parser.add_argument("-c", "--config-dir", metavar="DIR")
    parser.add_argument("--destination", default="", metavar="DOMAIN", help="with a recipient in that domain")
    parser.add_argument("--sender", default="", metavar="ADDRESS", help=f"<> or {NULL_SENDER} for bounces")
    parser.add_argument("--recipient", default="", metavar="ADDRESS")
    parser.add_argument("--cause", default="", metavar="TEXT", help="with that in the reason, as list or show print it")
    parser.add_argument("--older", default=0.0, type=_age, metavar="AGE", help="90s, 30m, 2h, 5d, 1w")
    parser.add_argument("--queue", default="", metavar="NAMES", help=", ".join(asking.QUEUES))
    parser.add_argument("--by", choices=["destination", "cause", "sender"], help="list by that only")
    parser.add_argument("--all", action="store_true", help="list: every group; a change: the whole queue")
    parser.add_argument("--dry-run", action="store_true", help="say what would be changed, and change nothing")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    return parser


def _selection(options: argparse.Namespace) -> Selection:
    queues = frozenset(options.queue.replace(",", " ").split())
    if wrong := sorted(queues - set(asking.QUEUES)):
        raise Fatal(f"there is no queue {wrong[0]!r}; there are {', '.join(asking.QUEUES)}", EX_USAGE)
    sender = NULL_SENDER if options.sender == "<>" else options.sender
    return Selection(
        options.destination, sender, options.recipient, options.cause, options.older, queues, frozenset(options.ids)
    )


def _run(command: Command, settings: Settings, options: argparse.Namespace) -> int:
    selection = _selection(options)
    if not authorized_users.may(settings, "authorized_mailq_users"):
        raise Fatal("this user is not allowed to view the mail queue", EX_NOPERM)
    directory = settings.text("queue_directory")
    connections = asking.workers(directory)
    rows = selection.among(asking.listing(directory, connections), time.time())
    try:
        if options.action == "list":
            return _list(rows, options)
        if options.action == "show":
            return _show(rows)
        return _change(command, settings, options, selection, rows)
    except (ConnectionError, ValueError) as broken:
        if isinstance(broken, BrokenPipeError):
            raise
        raise Fatal(f"the mail system broke off: {broken}", EX_UNAVAILABLE) from broken


# -- listing


def _list(rows: Iterable[Row], options: argparse.Namespace) -> int:
    """Groups by destination, and by cause, or by what --by says."""
    wanted = [options.by] if options.by else ["destination", "cause"]
    groups: dict[str, dict[str, Group]] = {name: {} for name in wanted}
    messages = size = 0
    for row in rows:
        messages += 1
        size += row[3]
        for name in wanted:
            for key, recipients, example in _keys(row, name):
                groups[name].setdefault(key, Group()).add(row, recipients, example)
    if not messages:
        print("No mail waits.")
        return 0
    for name in wanted:
        _print_groups(name, groups[name], shown=None if options.all else SHOWN_GROUPS)
        print()
    print(f"{_messages(messages)}, {_bytes(size)}.")
    return 0


def _keys(row: Row, name: str) -> Iterator[tuple[str, int, str]]:
    """What a message counts under: (key, recipients, an example of the whole reason)."""
    if name == "sender":
        yield row[5] or NULL_SENDER, len(row[6]), ""
        return
    found: dict[str, list[str]] = {}
    for address, reason in row[6]:
        found.setdefault(domain_of(address) if name == "destination" else normalised(reason), []).append(reason)
    for key, reasons in found.items():
        yield key, len(reasons), reasons[0]


def _print_groups(name: str, groups: dict[str, Group], shown: int | None) -> None:
    """The largest first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("messages", "recipients", "size", "oldest"):
        table.add_column(heading, justify="right")
    table.add_column(name, overflow="fold")
    ordered = sorted(groups.items(), key=lambda pair: (-pair[1].messages, pair[0]))
    for key, group in ordered[:shown]:
        cells = (str(group.messages), str(group.recipients), _bytes(group.size), _span(time.time() - group.oldest))
        table.add_row(*cells, Text(_printable(key)))
    Console(highlight=False, width=None if sys.stdout.isatty() else 400, soft_wrap=False).print(table)
    if shown is not None and len(ordered) > shown:
        print(f"... and {len(ordered) - shown} more (--all)")


def _show(rows: Iterable[Row]) -> int:
    """Each message with its recipients and their reasons."""
    count = 0
    for row in rows:
        count += 1
        for line in entry(row, time.time()):
            print(line)
    print("No mail waits." if not count else f"{_messages(count)}.")
    return 0


def entry(row: Row, now: float) -> Iterator[str]:
    """A message in lines."""
    queue_id, queue, arrival, size, forced, sender, recipients = row
    state = f"{queue}, to be returned" if forced else queue
    yield f"{queue_id}  {state}  {_bytes(size)}  {_span(now - arrival)} old  from <{_printable(sender)}>"
    for address, reason in recipients:
        yield f"    to <{_printable(address)}>: {_printable(reason) or UNKNOWN}"
    yield ""


# -- changing


def _change(
    command: Command, settings: Settings, options: argparse.Namespace, selection: Selection, rows: Iterable[Row]
) -> int:
    action = ACTIONS[options.action]
    if selection.is_everything and not options.all:
        raise Fatal(f"{options.action} what? Give a filter or queue ids, or --all for the whole queue", EX_USAGE)
    chosen = [row[0] for row in rows if row[1] in action.queues]
    print(f"{_messages(len(chosen))} to {action.verb}.")
    if options.dry_run or not chosen:
        for queue_id in chosen:
            print(queue_id)
        return 0
    if not options.yes and not _agrees(action, len(chosen)):
        print("Nothing was changed.")
        return 1
    if options.action == "flush":
        count = _flush(settings, chosen)
    else:
        count = _apply(settings, options.action, chosen)
    text = f"{_messages(count)} {action.done}"
    print(f"{text}." if count == len(chosen) else f"{text}; {len(chosen) - count} had gone meanwhile.")
    command.log("info", f"{options.action}: {text}")
    return 0


def _agrees(action: Action, count: int) -> bool:
    """Ask on the terminal; without one nobody agrees."""
    if not sys.stdin.isatty():
        print("Say --yes to do it without being asked.")
        return False
    answer = input(f"{action.verb.capitalize()} {_messages(count)}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _apply(settings: Settings, change: str, chosen: list[str]) -> int:
    """In the stores, also of a mail system that runs: its workers are told."""
    changes = asking.Changes(settings.text("queue_directory"))
    count = sum(changed for _, changed in _watched(changes.apply_to_many(change, chosen), change, len(chosen)))
    if change == "delete":
        count += _remove_from_maildrop(settings, chosen)
    changes.finish()
    return count


def _remove_from_maildrop(settings: Settings, chosen: list[str]) -> int:
    """What sendmail left and pickup has not taken; its queue id is the file's name."""
    folder, count = os.path.join(settings.text("queue_directory"), "maildrop"), 0
    with os.scandir(folder) as entries:
        names = {item.name for item in entries} & set(chosen)
    for name in names:
        try:
            os.unlink(os.path.join(folder, name))
        except FileNotFoundError:
            continue
        count += 1
    return count


def _flush(settings: Settings, chosen: list[str]) -> int:
    """Whoever may flush may do this while the mail system runs; in one that is stopped, who may write to the queue."""
    if not authorized_users.may(settings, "authorized_flush_users"):
        raise Fatal("this user is not allowed to flush the mail queue", EX_NOPERM)
    connections = asking.workers(settings.text("queue_directory"))
    if not connections:
        _apply(settings, "flush", chosen)
        return len(chosen)
    for connection in connections:
        connection.close()
    for start in range(0, len(chosen), PORTION):
        for connection in asking.workers(settings.text("queue_directory")):
            list(asking.ask(connection, {"do": "flush", "id": chosen[start : start + PORTION]}))
    return len(chosen)


def _watched(steps: Iterator[tuple[int, int]], what: str, total: int) -> Iterator[tuple[int, int]]:
    """The steps, with a bar on a terminal where there are many."""
    if total < SLOW or not sys.stdout.isatty():
        yield from steps
        return
    from rich.progress import Progress

    with Progress(transient=True) as progress:
        task = progress.add_task(what, total=total)
        for seen, changed in steps:
            progress.update(task, advance=seen)
            yield seen, changed


# -- words


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def _span(seconds: float) -> str:
    """An age in its two largest units."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= length and len(parts) < 2:
            parts.append(f"{left // length}{unit}")
            left %= length
        elif parts:
            break
    return " ".join(parts) or "0s"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


if __name__ == "__main__":
    sys.exit(main())
