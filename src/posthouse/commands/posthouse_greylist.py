"""posthouse greylist: who waits and why; let somebody in now, expect somebody, take over postgrey's database."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from posthouse.errors import PosthouseError

if TYPE_CHECKING:
    from posthouse.config.settings import Settings
    from posthouse.policy.greylist.store import Kept, Store

_BATCH = 2000
_FOREVER_S = 100 * 365 * 86400
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def main(argv: list[str]) -> int:
    """0; 1 where nothing was found, 2 for trouble."""
    given = _parse(argv)
    try:
        return asyncio.run(_run(given))
    except (PosthouseError, OSError) as problem:
        print(f"posthouse greylist: {problem}", file=sys.stderr)
        return 2


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="posthouse greylist", description="Look into greylisting, and let mail in.")
    parser.add_argument("-c", "--config-dir", help="the configuration directory")
    parser.add_argument("--database", default="", help="another database: a file, a dbdir of postgrey, or redis://host")
    does = parser.add_subparsers(dest="verb", required=True, metavar="list|search|release|expect|import")
    listed = does.add_parser("list", help="who waits now")
    listed.add_argument("--all", action="store_true", help="everything that is remembered")
    listed.add_argument("--json", action="store_true", help="one JSON object a line")
    search = does.add_parser("search", help="all about an address, a domain or a client")
    search.add_argument("text")
    search.add_argument("--json", action="store_true", help="one JSON object a line")
    release = does.add_parser("release", help="what waits and contains this text is let in at the next try")
    release.add_argument("text")
    expect = does.add_parser("expect", help="let mail from an address, a domain or a client in without waiting")
    expect.add_argument("who")
    expect.add_argument("--for", dest="time", default="1d", metavar="TIME", help="for how long: 2h, 1d, forever (1d)")
    expect.add_argument("--not", dest="no_more", action="store_true", help="no longer")
    taking = does.add_parser("import", help="take over a database of postgrey (its dbdir)")
    taking.add_argument("directory")
    return parser.parse_args(list(words))


async def _run(given: argparse.Namespace) -> int:
    from posthouse.config.settings import load

    settings = load(given.config_dir)
    store = _open(given.database or settings.text("posthouse_greylist_database"), settings)
    try:
        match given.verb:
            case "list":
                return await _list(store, settings, "", given)
            case "search":
                return await _list(store, settings, given.text, given)
            case "release":
                return await _release(store, settings, given.text)
            case "expect":
                return await _expect(store, given)
            case _:
                return await _import(store, settings, given.directory)
    finally:
        await store.close()


def _open(location: str, settings: Settings) -> Store:
    """The store; a new file belongs to the mail system, which is to write in it."""
    from posthouse.commands.postgrey import DATABASE
    from posthouse.policy.greylist.store import open_store
    from posthouse.system.users import find_user

    if os.path.isdir(location):
        location = os.path.join(location, DATABASE)
    is_new = not location.startswith("redis") and not os.path.exists(location)
    store = open_store(location)
    owner = find_user(settings.text("mail_owner"))
    if is_new and os.geteuid() == 0 and owner is not None:
        for end in ("", "-wal", "-shm"):
            if os.path.exists(location + end):
                os.chown(location + end, owner.uid, owner.gid)
    return store


def _is_waiting(kept: Kept, delay: int, now: int) -> bool:
    from posthouse.policy.greylist.store import Kind

    return kept.kind is Kind.TRIPLET and kept.entry.last - kept.entry.first < delay and now - kept.entry.last < 172800


async def _list(store: Store, settings: Settings, text: str, given: argparse.Namespace) -> int:
    """Everything for a search; otherwise what waits."""
    from posthouse.policy.greylist.store import Kind

    now, delay = int(time.time()), settings.seconds("posthouse_greylist_delay")
    shows_all = given.verb == "search" or given.all
    count = 0
    async for kept in store.scan(None if shows_all else Kind.TRIPLET, text):
        if shows_all or _is_waiting(kept, delay, now):
            count += 1
            print(_as_json(kept) if given.json else _as_line(kept, delay, now))
    if not count and not given.json:
        print("nothing found" if text else "nobody waits")
    return 0 if count or not text else 1


def _as_json(kept: Kept) -> str:
    first, last, times = kept.entry
    return json.dumps({"kind": kept.kind.value, "key": kept.key, "first": first, "last": last, "times": times})


def _as_line(kept: Kept, delay: int, now: int) -> str:
    from posthouse.policy.greylist.store import Kind

    first, last, times = kept.entry
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(last))
    match kept.kind:
        case Kind.TRIPLET:
            client, _, rest = kept.key.partition("/")
            sender, _, recipient = rest.rpartition("/")
            left = delay - (now - first)
            waits = last - first < delay
            state = f"waits {left} s more" if waits and left > 0 else "may come in" if waits else "let in"
            return f"{when}  {state:<18} {client} {sender or '<>'} -> {recipient}"
        case Kind.CLIENT:
            return f"{when}  {'came again':<18} {kept.key}, {times} times"
        case Kind.EXPECTED:
            return f"{when}  {'expected':<18} {kept.key}, until then"
        case _:
            return f"{when}  {kept.kind.value:<18} {kept.key}"


async def _release(store: Store, settings: Settings, text: str) -> int:
    from posthouse.policy.greylist.store import Entry

    now, delay = int(time.time()), settings.seconds("posthouse_greylist_delay")
    lifetime = settings.seconds("posthouse_greylist_max_age")
    found = [kept async for kept in store.scan(None, text) if _is_waiting(kept, delay, now)]
    for kept in found:
        await store.put(kept.kind, kept.key, Entry(now - delay, now - delay), lifetime)
    print(f"{len(found)} released; they come in when they are tried again")
    return 0 if found else 1


async def _expect(store: Store, given: argparse.Namespace) -> int:
    from posthouse.policy.greylist.store import Entry, Kind

    who = given.who.lower().removeprefix("@")
    if given.no_more:
        was_there = await store.delete(Kind.EXPECTED, who)
        print(f"{who} is no longer expected" if was_there else f"{who} was not expected")
        return 0 if was_there else 1
    until = int(time.time()) + _seconds(given.time)
    await store.put(Kind.EXPECTED, who, Entry(until, until), 0)
    print(f"mail from {who} comes in at once {'from now on' if given.time == 'forever' else f'for {given.time}'}")
    return 0


def _seconds(text: str) -> int:
    if text == "forever":
        return _FOREVER_S
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    if not number.isdecimal():
        raise PosthouseError(f"{text} is no time; 30m, 2h, 1d and forever are")
    return min(int(number) * unit, _FOREVER_S)


async def _import(store: Store, settings: Settings, directory: str) -> int:
    """postgrey.db and postgrey_clients.db; postgrey must not be running."""
    from posthouse.policy.greylist import berkeley_db

    lifetime, done = settings.seconds("posthouse_greylist_max_age"), 0
    for name, read in (("postgrey.db", berkeley_db.triplets), ("postgrey_clients.db", berkeley_db.clients)):
        with open(os.path.join(directory, name), "rb") as file:  # noqa: ASYNC230 - nobody else is served
            kept = list(read(file.read()))
        for start in _steps(name, len(kept)):
            await store.put_many(kept[start : start + _BATCH], lifetime)
        done += len(kept)
    print(f"{done} entries taken over from {directory}")
    return 0


def _steps(name: str, count: int) -> Sequence[int]:
    """Where each batch begins, with a progress bar on a terminal."""
    steps = range(0, count, _BATCH)
    if not sys.stderr.isatty():
        return steps
    from rich.console import Console
    from rich.progress import track

    return track(steps, description=name, console=Console(stderr=True))  # type: ignore[return-value]
