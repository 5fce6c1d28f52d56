"""postalias: make and ask alias databases (postalias(1))."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from posthouse.commands import indexing
from posthouse.lookup.aliases_text import read_aliases

if TYPE_CHECKING:
    from posthouse.config.settings import Settings
    from posthouse.lookup.index import IndexWriter


def _sign(writer: IndexWriter, settings: Settings) -> None:
    """The entries that NIS and old sendmails look for."""
    writer.add("@", "@", replace=True)
    writer.add("YP_LAST_MODIFIED", str(int(time.time())), replace=True)
    writer.add("YP_MASTER_NAME", settings.text("myhostname"), replace=True)


COMMAND = indexing.Command(
    name="postalias",
    letters="c:d:finNopq:rsuvw",
    usage="usage: postalias [-Nfinoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
    read=read_aliases,
    shown=lambda key, value: f"{key}:\t{value}",
    is_aliases=True,
    finish=_sign,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    return indexing.run(COMMAND, sys.argv[1:] if arguments is None else arguments, act)


def act(run: indexing.Run) -> int:
    """What the options ask for."""
    request = run.request
    if request.delete is not None:
        return indexing.delete_keys(run, indexing.lines_of_input() if request.delete == "-" else [request.delete])
    if request.query == "-":
        return indexing.query_all(run, indexing.lines_of_input())
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


if __name__ == "__main__":
    sys.exit(main())
