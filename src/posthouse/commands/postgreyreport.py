"""Reports who was greylisted and has not come again; reads a mail log on standard input (postgreyreport(1))."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from posthouse.errors import ConfigError, PosthouseError

VERSION = "1.14.3"
_LINE = re.compile(
    r"^(?P<time>\S+ +\d+ [\d:]+|\S+) .*?: RCPT from (?P<name>[^\[\s]*)\[(?P<address>[0-9a-fA-F.:]+)\]: .*?"
    r"from=<(?P<sender>[^>]+)> to=<(?P<recipient>[^>]+)>"
)


@dataclass(slots=True)
class Case:
    """A triplet that was greylisted: how often, and when last."""

    name: str
    address: str
    sender: str
    recipient: str
    tries: int = 0
    time: str = ""
    mark: str = ""


@dataclass(slots=True)
class Seen:
    """first,last by key, as postgrey keeps them."""

    times: dict[str, tuple[int, int]] = field(default_factory=dict)


def main(argv: list[str] | None = None) -> int:
    """0, or 2 where the database cannot be read."""
    given = _parse(sys.argv[1:] if argv is None else argv)
    try:
        _take_user(given.user)
        wanted = _clients_filter(given)
        cases = list(collect(sys.stdin, given.greylist_text))
        seen = read_database(given.dbdir, cases)
    except (PosthouseError, OSError) as problem:
        print(f"ERROR: {problem}", file=sys.stderr)
        return 2
    fatal = [case for case in cases if is_fatal(case, seen, given.delay) and wanted(case)]
    if given.check_sender:
        from posthouse.commands.postgreyreport_dns import mark

        mark(fatal, given.check_sender.split(","))
    sys.stdout.writelines(report(fatal, given))
    return 0


def collect(lines: Iterable[str], text: str) -> Iterator[Case]:
    """The greylisted triplets of a log, in order of their clients' addresses."""
    cases: dict[tuple[str, str, str], Case] = {}
    for line in lines:
        if text not in line or (found := _LINE.match(line)) is None:
            continue
        key = (found["address"], found["sender"].lower(), found["recipient"].lower())
        case = cases.setdefault(key, Case(found["name"], found["address"], found["sender"], found["recipient"]))
        case.tries += 1
        case.time = found["time"]
    return iter(sorted(cases.values(), key=lambda case: _sort_key(case.address)))


def _sort_key(address: str) -> tuple[int, int]:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return 0, 0
    return found.version, int(found)


def keys_of(case: Case) -> list[str]:
    """Under which keys the database may have it: by network and by host, plain and hidden."""
    from posthouse.policy.greylist.triplet import hidden, network, recipient_key, sender_key

    rest = f"/{sender_key(case.sender)}/{recipient_key(case.recipient)}"
    try:
        plain = [network(case.address, *bits) + rest for bits in ((24, 64), (32, 128))]
    except ValueError:
        return []
    return [*plain, *(hidden(key) for key in plain)]


def is_fatal(case: Case, seen: Seen, delay: int) -> bool:
    """Whether it did not come again after delay (s); what the database does not know did not."""
    times = next((seen.times[key] for key in keys_of(case) if key in seen.times), None)
    return times is None or times[1] - times[0] < delay


def read_database(directory: str, cases: Sequence[Case]) -> Seen:
    """What is known of the cases, from our database or, where there is none, from postgrey's own."""
    from posthouse.commands.postgrey import DATABASE

    location = directory if directory.startswith("redis") else os.path.join(directory, DATABASE)
    if directory.startswith("redis") or os.path.exists(location):
        return asyncio.run(_ask(location, cases))
    from posthouse.policy.greylist.berkeley_db import triplets

    with open(os.path.join(directory, "postgrey.db"), "rb") as file:
        return Seen({kept.key: (kept.entry.first, kept.entry.last) for kept in triplets(file.read())})


async def _ask(location: str, cases: Sequence[Case]) -> Seen:
    from posthouse.policy.greylist.store import Kind, open_store

    store, seen = open_store(location), Seen()
    for case in cases:
        for key in keys_of(case):
            entry = await store.get(Kind.TRIPLET, key)
            if entry is not None:
                seen.times[key] = entry.first, entry.last
    await store.close()
    return seen


def report(cases: Sequence[Case], given: argparse.Namespace) -> Iterator[str]:
    """The lines of the report."""
    address = subnet = ""
    for case in cases:
        is_new, net = case.address != address, case.address.rpartition("." if "." in case.address else ":")[0]
        if net != subnet and given.separate_by_subnet:
            yield _unescape(given.separate_by_subnet)
        if is_new and given.separate_by_ip:
            yield _unescape(given.separate_by_ip)
        address, subnet = case.address, net
        yield from _lines(case, given, is_new=is_new)


def _lines(case: Case, given: argparse.Namespace, *, is_new: bool) -> Iterator[str]:
    tries = str(case.tries) if given.show_tries else ""
    if given.nosingle_line:
        if is_new:
            yield f"{case.name} {case.address:>{max(92 - len(case.name), 0)}}\n"
        yield f"{tries or case.mark:>9} {case.sender:>41} {case.recipient:>41} \n"
        return
    first = [word for word in (tries, case.time if given.show_time else "", case.mark) if word]
    address = case.address if given.tab else f"{case.address:>15}"
    words = [*first, address, case.name, case.sender, case.recipient]
    yield ("\t" if given.tab else " ").join(words) + "\n"


def _unescape(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t")


def _clients_filter(given: argparse.Namespace):  # type: ignore[no-untyped-def] # noqa: ANN202
    from posthouse.policy.greylist.whitelist import open_files, read_clients

    skipped, matched = (read_clients(open_files(files)[0]) for files in (given.skip_clients, given.match_clients))

    def wanted(case: Case) -> bool:
        if given.skip_pool and _is_pool(case):
            return False
        if given.match_clients and not matched.has(case.name, case.address):
            return False
        if skipped.has(case.name, case.address):
            return False
        if given.skip_dnsbl:
            from posthouse.commands.postgreyreport_dns import is_listed

            return not any(is_listed(case.address, zone) for zone in given.skip_dnsbl)
        return True

    return wanted


def _is_pool(case: Case) -> bool:
    """Whether the name has the last two numbers of the address in it, as those of dialled-in lines have."""
    numbers = case.address.split(".")[-2:]
    return len(numbers) == 2 and all(re.search(rf"(?<!\d){number}(?!\d)", case.name) for number in numbers)


def _take_user(name: str) -> None:
    if os.geteuid() != 0:
        return
    from posthouse.system.privileges import become
    from posthouse.system.users import find_user

    user = find_user(name)
    if user is None:
        raise ConfigError(f'No such user "{name}"')
    become(user.uid, user.gid)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="postgreyreport", description="Who was greylisted and has not come again.")
    add = parser.add_argument
    add("--version", action="version", version=f"postgreyreport {VERSION} (Posthouse)")
    add("--user", default="postgrey", help="the user to run as (postgrey)")
    add("--dbdir", default="/var/lib/postgrey", metavar="PATH", help="directory of the database")
    add("--delay", type=int, default=300, metavar="N", help="seconds that mail waits (300)")
    add("--greylist-text", default="Greylisted", metavar="TXT", help="the text of greylisting's lines in the log")
    add("--skip_pool", action="store_true", help="leave out clients whose name has their address in it")
    add("--skip_dnsbl", action="append", default=[], metavar="RBL", help="leave out clients on this DNS list")
    add("--skip_clients", action="append", default=[], metavar="FILE", help="leave out these clients")
    add("--match_clients", action="append", default=[], metavar="FILE", help="report these clients only")
    add("--show_tries", action="store_true", help="how often each was tried")
    add("--show_time", action="store_true", help="when each was tried last")
    add("--tab", action="store_true", help="tabs between the columns")
    add("--nosingle_line", action="store_true", help="senders and recipients below their client")
    add("--separate_by_subnet", default="", metavar="TXT", help="a text before every network")
    add("--separate_by_ip", default="", metavar="TXT", help="a text before every address")
    add(
        "--check_sender",
        default="",
        metavar="LIST",
        help="of mx, mx/24, a, a/24: mark senders whose domain leads there",
    )
    return parser.parse_args(list(words))


if __name__ == "__main__":
    sys.exit(main())
