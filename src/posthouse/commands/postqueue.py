"""postqueue(1): lists the queue (-p, -j) and has mail tried now (-f, -i, -s)."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from posthouse.commands import authorized_users
from posthouse.commands.queue_command import Command, Fatal
from posthouse.config.settings import Settings
from posthouse.mail.address import is_valid_mail_domain, quote_address
from posthouse.queue import asking
from posthouse.queue.queue_id import is_queue_id

USAGE = "postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"
EX_UNAVAILABLE = 69
_DOWN = "Mail system is down -- accessing queue directly (Connect to the Postfix showq service: Connection refused)"
_LONG = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
_SHORT = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
_MARKS = {"active": "*", "hold": "!"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    command = Command("postqueue", USAGE, EX_UNAVAILABLE)
    try:
        return _run(command, sys.argv[1:] if arguments is None else arguments)
    except Fatal as fatal:
        return command.die(fatal)
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _run(command: Command, words: Sequence[str]) -> int:
    try:
        pairs, rest = command.options(words, "c:fi:jps:v")
    except Fatal:
        command.load(_directory_of(words))
        raise
    settings = command.load(next((value for option, value in pairs if option == "-c"), None))
    asked = [(option, value) for option, value in pairs if option in ("-f", "-i", "-j", "-p", "-s")]
    if len(asked) != 1 or rest:
        raise command.usage()
    option, value = asked[0]
    if option in ("-p", "-j"):
        _allow(settings, "authorized_mailq_users", "view the mail queue")
        return _show(command, settings, as_json=option == "-j")
    _allow(settings, "authorized_flush_users", "flush the mail queue")
    return _flush(settings, option, value)


def _directory_of(words: Sequence[str]) -> str | None:
    return next((words[at + 1] for at in range(len(words) - 1) if words[at] == "-c"), None)


def _allow(settings: Settings, parameter: str, what: str) -> None:
    """Root may always; others as the parameter's list of users says."""
    if not authorized_users.may(settings, parameter):
        uid = os.getuid()
        raise Fatal(f"User {authorized_users.login_name(uid)}({uid}) is not allowed to {what}", EX_UNAVAILABLE)


def _connections(settings: Settings) -> list[Any]:
    return asking.workers(settings.text("queue_directory"))


# -- listing


def _show(command: Command, settings: Settings, *, as_json: bool) -> int:
    connections = _connections(settings)
    if not connections:
        command.warn(_DOWN)
    rows = asking.listing(settings.text("queue_directory"), connections)
    lines = map(json_line, rows) if as_json else table(rows, long=settings.flag("enable_long_queue_ids"))
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except (OSError, ValueError) as trouble:
        if isinstance(trouble, BrokenPipeError):
            raise
        raise Fatal(f"queue listing broke off: {trouble}", EX_UNAVAILABLE) from trouble
    return 0


def json_line(row: list[Any]) -> str:
    """A message as postqueue -j shows it."""
    queue_id, queue, arrival, size, forced, sender, recipients = row
    shown = {
        "queue_name": queue,
        "queue_id": queue_id,
        "arrival_time": int(arrival),
        "message_size": size,
        "forced_expire": forced,
        "sender": quote_address(sender) or "MAILER-DAEMON",
        "recipients": [
            {"address": quote_address(address)} | ({"delay_reason": reason.strip()} if reason else {})
            for address, reason in recipients
        ],
    }
    return json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace").decode()


def table(rows: Iterator[list[Any]], *, long: bool = False) -> Iterator[str]:
    """The listing for people; each row of it a line."""
    count = total = 0
    widths = (17, 8, 19) if long else (11, 7, 20)
    for row in rows:
        if not count:
            yield _LONG if long else _SHORT
        count += 1
        total += row[3]
        yield from _entry(row, widths)
    if count:
        yield f"-- {total // 1024} Kbytes in {count} Request{'' if count == 1 else 's'}."
    else:
        yield "Mail queue is empty"


def _entry(row: list[Any], widths: tuple[int, int, int]) -> Iterator[str]:
    queue_id, queue, arrival, size, forced, sender, recipients = row
    name, width, date = widths
    mark = "#" if forced else _MARKS.get(queue, "")
    when = time.ctime(arrival)[:date]
    author = _printable(quote_address(sender) or "MAILER-DAEMON")
    yield f"{queue_id + mark:<{name}} {size:>{width}} {when:>{date}} {author}"
    before = ""
    for address, reason in recipients:
        if reason and reason != before:
            yield f"{'(' + _printable(reason.strip()) + ')':>78}"
        before = reason
        yield f"{'':<{name}} {'':>{width}} {'':>{date}} {_printable(quote_address(address))}"
    yield ""


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


# -- flushing


def _flush(settings: Settings, option: str, value: str) -> int:
    if option == "-i" and not is_queue_id(value):
        raise Fatal(f'Cannot flush queue ID - invalid name: "{value[:100]}"', EX_UNAVAILABLE)
    if option == "-s" and not is_valid_mail_domain(value):
        raise Fatal(f'Cannot flush mail queue - invalid destination: "{value[:100]}"', EX_UNAVAILABLE)
    if option == "-s" and not _is_flushed(settings, value):
        raise Fatal(f'Flush service is not configured for destination "{value}"', EX_UNAVAILABLE)
    connections = _connections(settings)
    if not connections:
        raise Fatal("Cannot flush mail queue - mail system is down", EX_UNAVAILABLE)
    request: dict[str, Any] = {"do": "flush"}
    if option == "-i":
        request["id"] = value
    elif option == "-s":
        request["site"] = value.strip("[]")
    try:
        for connection in connections:
            list(asking.ask(connection, request))
    except (OSError, ValueError) as trouble:
        raise Fatal("Cannot flush mail queue - mail system is down", EX_UNAVAILABLE) from trouble
    return 0


def _is_flushed(settings: Settings, site: str) -> bool:
    """Whether fast_flush_domains has the destination; a list of domains and of tables."""
    if not settings.items("fast_flush_domains"):
        return False
    from posthouse.lookup.match_list import HostList

    return HostList(settings, "fast_flush_domains").contains(site.strip("[]").lower())


if __name__ == "__main__":
    sys.exit(main())
