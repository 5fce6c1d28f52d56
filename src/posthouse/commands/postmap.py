"""postmap: make and ask lookup tables (postmap(1))."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from posthouse.commands import indexing
from posthouse.lookup import notices
from posthouse.lookup.text_map import read_entries

COMMAND = indexing.Command(
    name="postmap",
    letters="bc:d:fFhimnNopq:rsuUvw",
    usage="usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
    read=read_entries,
    shown=lambda key, value: f"{key}\t{value}",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    return indexing.run(COMMAND, sys.argv[1:] if arguments is None else arguments, act)


def act(run: indexing.Run) -> int:
    """What the options ask for."""
    request = run.request
    if request.flags & {"b", "h", "m"} and request.query != "-":
        raise indexing.Fatal('specify -b -h or -m only with "-q -"')
    if request.delete is not None:
        return indexing.delete_keys(run, indexing.lines_of_input() if request.delete == "-" else [request.delete])
    if request.query == "-":
        return _query_input(run)
    if request.query is not None:
        return indexing.query(run, request.query)
    if "s" in request.flags:
        return indexing.list_all(run)
    for spec in request.specs:
        if "i" in request.flags:
            indexing.add_from_input(run, spec)
        else:
            indexing.build(run, spec)
    return 0


def _query_input(run: indexing.Run) -> int:
    flags = run.request.flags
    if not flags & {"b", "h"}:
        if "m" in flags:
            notices.warn("ignoring -m option without -b or -h")
        return indexing.query_all(run, indexing.lines_of_input())
    from posthouse.commands.message_keys import message_keys

    keys = message_keys(sys.stdin, headers="h" in flags, body="b" in flags, mime="m" in flags)
    return indexing.query_all(run, keys)


if __name__ == "__main__":
    sys.exit(main())
