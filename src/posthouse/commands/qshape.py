"""qshape(1): how many messages wait for which domain, by age."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from posthouse.commands.queue_command import Command, Fatal
from posthouse.queue import asking

USAGE = (
    "qshape [-s (senders)] [-p (parent domains)] [-c config_dir] [-m min_subdomains] [-b bucket_count] "
    "[-t bucket_time (minutes)] [-l (linear)] [-w terminal_width] [-N batch_msg_count] [-n (names) top] [queue...]"
)
_DOMAIN_WIDTH = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    command = Command("qshape", USAGE, 1)
    try:
        return _run(command, sys.argv[1:] if arguments is None else arguments)
    except Fatal as fatal:
        return command.die(fatal)


def _run(command: Command, words: Sequence[str]) -> int:
    pairs, queues = command.options(words, "spc:m:b:t:lw:N:n:")
    options = dict(pairs)
    settings = command.load(options.get("-c"))
    try:
        count, first = int(options.get("-b", 10)), float(options.get("-t", 5))
    except ValueError:
        raise command.usage() from None
    if not 0 < count <= 100 or first <= 0:
        raise command.usage()
    wanted = set(queues or ("incoming", "active"))
    if not wanted <= set(asking.QUEUES):
        raise Fatal(f"no such queue: {' '.join(sorted(wanted - set(asking.QUEUES)))}")
    limits = [first * (n + 1 if "-l" in options else 2**n) for n in range(count - 1)]
    directory = settings.text("queue_directory")
    rows = (row for row in asking.listing(directory, asking.workers(directory)) if row[1] in wanted)
    counts = tally(rows, limits, time.time(), senders="-s" in options, parents="-p" in options)
    for line in table(counts, limits):
        print(line)
    return 0


def tally(
    rows: Iterable[list[Any]], limits: list[float], now: float, *, senders: bool, parents: bool
) -> dict[str, list[int]]:
    """Messages by domain and age; limits are in minutes, the last class is for all that are older."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * (len(limits) + 1))
    for row in rows:
        age = (now - row[2]) / 60
        place = next((number for number, limit in enumerate(limits) if age < limit), len(limits))
        addresses = [row[5] or "MAILER-DAEMON"] if senders else [address for address, _ in row[6]]
        for address in addresses:
            domain = address.rpartition("@")[2].lower()
            counts[domain][place] += 1
            while parents and "." in domain.partition(".")[2]:
                domain = domain.partition(".")[2]
                counts[f".{domain}"][place] += 1
    return counts


def table(counts: dict[str, list[int]], limits: list[float]) -> list[str]:
    """The lines; the busiest domain first."""
    heads = [*(f"{limit:g}" for limit in limits), f"{limits[-1] if limits else 0:g}+"]
    total = [sum(column) for column in zip(*(v for k, v in counts.items() if k[0:1] != "."), strict=True)]
    rows = [("TOTAL", total or [0] * len(heads)), *sorted(counts.items(), key=lambda pair: (-sum(pair[1]), pair[0]))]
    widths = [max(len(head), *(len(str(values[n])) for _, values in rows)) for n, head in enumerate(heads)]
    size = max(1, *(len(str(sum(values))) for _, values in rows))
    width = max(_DOMAIN_WIDTH, *(len(name) for name, _ in rows))
    lines = [_line("", "T", heads, (width, size, widths))]
    lines += (_line(name, str(sum(values)), map(str, values), (width, size, widths)) for name, values in rows)
    return lines


def _line(name: str, total: str, cells: Iterable[str], sizes: tuple[int, int, list[int]]) -> str:
    width, size, widths = sizes
    shown = " ".join(f"{cell:>{cell_width}}" for cell, cell_width in zip(cells, widths, strict=True))
    return f"{name:>{width}} {total:>{size + 1}} {shown}"


if __name__ == "__main__":
    sys.exit(main())
