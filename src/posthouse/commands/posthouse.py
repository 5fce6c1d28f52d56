"""posthouse(1): what Posthouse can do beyond Postfix's commands; each subcommand is a file posthouse_<name>.py."""

from __future__ import annotations

import importlib
import os
import sys

PREFIX = "posthouse_"


def subcommands() -> dict[str, str]:
    """Name -> module, from this package's own listing."""
    folder = os.path.dirname(__file__)
    names = sorted(name[:-3] for name in os.listdir(folder) if name.startswith(PREFIX) and name.endswith(".py"))
    return {name.removeprefix(PREFIX).replace("_", "-"): f"posthouse.commands.{name}" for name in names}


def summary(module: str) -> str:
    """The first line of the module's docstring, read without importing it."""
    path = os.path.join(os.path.dirname(__file__), f"{module.rpartition('.')[2]}.py")
    with open(path, encoding="utf-8") as file:
        return file.readline().strip().strip('"').strip().partition(": ")[2]


def show_help() -> int:
    """The list of subcommands, on standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print("[bold]posthouse[/bold] COMMAND [ARGUMENTS]\n\nBeside postfix, postconf, postqueue and the like:\n")
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, module in subcommands().items():
        table.add_row(f"  [bold]{name}[/bold]", summary(module))
    console.print(table)
    return 0


def main(argv: list[str] | None = None) -> int:
    """The subcommand's exit code; 64 for one that is not there."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in {"-h", "--help", "help"}:
        return show_help()
    if words[0] in {"-V", "--version"}:
        from posthouse import __version__

        print(f"posthouse {__version__}")
        return 0
    known = subcommands()
    if words[0] not in known:
        import difflib

        near = difflib.get_close_matches(words[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        print(f"posthouse: there is no command {words[0]!r}{hint} (posthouse --help lists them)", file=sys.stderr)
        return 64
    return int(importlib.import_module(known[words[0]]).main(words[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
