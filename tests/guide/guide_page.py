"""A page of docs/guide as a test sees it: its fenced blocks, in order.

The first word after the fence says what a block is:

    main.cf               lines that go into the configuration, in place of earlier ones of the same names
    master.cf             services, likewise
    main.cf wrong         the same, for the next console block only (master.cf wrong, too)
    table NAME            a table or list, in the configuration's folder; alias files as well
    script PATH           an executable file
    console               commands after "$ "; what follows is what they print
    smtp [CLIENT] [PORT]  a dialogue with the server, C: and S:, as seen by a client of that address
    arrives HOST[:PORT]   what the server of that name received
    maillog               lines of the log, from the program's name on
    text                  only to be looked at

In what is expected, "..." stands for anything, and a line of it for any lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs/guide"
KINDS = ("main.cf", "master.cf", "table", "script", "console", "smtp", "arrives", "maillog", "text")
_FENCE = re.compile(r"^```(.*)$")


@dataclass(frozen=True)
class Block:
    """words: what follows the kind. line: where the block begins in the page."""

    kind: str
    words: tuple[str, ...]
    text: str
    line: int


def pages() -> list[Path]:
    return sorted(GUIDE.glob("*.md"))


def blocks(page: Path) -> list[Block]:
    """All fenced blocks. An unfenced or unknown one is a mistake of the page."""
    found: list[Block] = []
    opened: tuple[int, list[str]] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is None:
            if opened is not None:
                lines.append(line)
        elif opened is None:
            opened, lines = (number, fence[1].split()), []
        else:
            assert opened[1], f"{page.name}:{opened[0]}: the block does not say what it is"
            kind, *words = opened[1]
            found.append(Block(kind, tuple(words), "".join(f"{text}\n" for text in lines), opened[0]))
            opened = None
    assert opened is None, f"{page.name}: a block is not closed"
    return found


def fits(expected: str, actual: str) -> bool:
    """Whether actual is what the page says."""
    return _pattern(expected).fullmatch(actual.strip("\n") + "\n") is not None


def _pattern(expected: str) -> re.Pattern[str]:
    pieces = []
    for line in expected.strip("\n").split("\n"):
        if line.strip() == "...":
            pieces.append(r"(?:[^\n]*\n)*?")
        else:
            pieces.append(r"[^\n]*".join(re.escape(part) for part in line.rstrip().split("...")) + r"[ \t]*\n")
    return re.compile("".join(pieces))
