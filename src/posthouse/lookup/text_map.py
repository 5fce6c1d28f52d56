"""The text of a table: logical lines, and "key whitespace value" (postmap(1), the input file format).

Text is bytes decoded as UTF-8 with surrogate escapes. Nothing is raised: what is wrong with a line is reported, and the
line is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LINE_LIMIT = 1_000_000  # characters of one logical line; longer ones are left out

_WORD = re.compile(r"[^ \t\r\v\f\n]*")
_UNPRINTABLE = re.compile(r"[^ -~]")
SPACES = " \t\r\v\f\n"


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """A line and those that continue it. number is the first one's, 1-based."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line. number 0: the text names no line."""

    number: int
    text: str
    skips: bool = True  # the line is left out

    def shown(self, path: str) -> str:
        """As it is logged."""
        return f"{path}, line {self.number}: {self.text}" if self.number else f"{path}: {self.text}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A key, not folded, and its value."""

    number: int
    key: str
    value: str


def logical_lines(text: str) -> Iterator[LogicalLine]:
    """Lines without comments and blank ones; a line that begins with white space continues the one before it."""
    parts: list[str] = []
    first = 0
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.lstrip(SPACES)
        if not stripped or stripped[0] == "#":
            continue
        if line[0] in SPACES and parts:
            parts.append(line)
            continue
        if parts:
            yield LogicalLine(first, "".join(parts))
        parts, first = [line], number
    if parts:
        yield LogicalLine(first, "".join(parts))


def decode(content: bytes) -> str:
    """Bytes of a file as text; what is not UTF-8 is kept as surrogate escapes."""
    return content.decode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """Text for the log: what cannot be printed is shown as "?"."""
    if text.isascii():
        return _UNPRINTABLE.sub("?", text)
    shown = []
    for character in text:
        bad = not character.isprintable()
        shown.append("?" if bad else character)
    return "".join(shown)


def read_entries(text: str, *, utf8: bool = True, ignoring: str = "") -> Iterator[Entry | Problem]:
    """The entries of a table's text, and the problems, in the order of the lines.

    ignoring is added to the text about a missing value (texthash says more than postmap).
    """
    for line in logical_lines(text):
        if utf8 and not line.text.isascii() and _has_stray_bytes(line.text):
            yield Problem(line.number, f'non-UTF-8 input "{printable(line.text)}" -- ignoring this line')
            continue
        if line.text[0] in SPACES:
            yield Problem(0, f'logical line must not start with whitespace: "{printable(line.text[:30])}"')
            continue
        if "\0" in line.text:
            yield Problem(line.number, "null byte in text -- ignoring this line")
            continue
        if len(line.text) > LINE_LIMIT:
            yield Problem(line.number, f"line of {len(line.text)} characters is too long -- ignoring this line")
            continue
        yield from _read_entry(line, ignoring)


def _has_stray_bytes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _read_entry(line: LogicalLine, ignoring: str) -> Iterator[Entry | Problem]:
    divided = divide_key(line.text)
    if divided is None:
        yield Problem(line.number, f"unbalanced '\"' in '{printable(line.text)}' -- ignoring this line")
        return
    key, value = divided
    if not key or not value:
        yield Problem(line.number, f"expected format: key whitespace value{ignoring}")
        return
    if key.endswith(":"):
        yield Problem(line.number, 'record is in "key: value" format; is this an alias file?', skips=False)
    yield Entry(line.number, key, value)


_KEY = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^" \t\r\v\f\n])*', re.DOTALL)


def divide_key(text: str) -> tuple[str, str] | None:
    """Key and value of a line; within double quotes white space is part of the key, and the quotes stay.

    So an address is asked for as it is written: "a b"@example.com. None where a quote is not closed.
    """
    key = _KEY.match(text)
    assert key is not None
    if text.startswith('"', key.end()):
        return None
    return key[0], text[key.end() :].strip(SPACES)


def divide_word(text: str) -> tuple[str, str]:
    """The first word and what follows it. White space is what C takes for it: no-break spaces are text."""
    word = _WORD.match(text)
    assert word is not None
    return word[0], text[word.end() :].strip(SPACES)
