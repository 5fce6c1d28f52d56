"""What an access table holds, with the lines of its file, as far as it can be read without asking a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.braces import closing_brace, split_items
from posthouse.lookup.network_set import BadNetwork, parse_network
from posthouse.lookup.table import Table, open_table
from posthouse.lookup.text_map import Problem, decode, logical_lines, read_entries

MOST_LINES = 200_000
_TEXT_LIMIT = 64 << 20
_LISTED = frozenset({"hash", "btree", "lmdb", "texthash", "inline"})
_RULES = frozenset({"cidr", "regexp", "pcre"})
_ALL_MATCHING = frozenset({".", "^", ".*", "^.*", "^.*$", ".+", "^.+$", "$", "", "(.*)", "^(.*)$"})


@dataclass(frozen=True, slots=True)
class Line:
    """One entry: its key, pattern or network as written ("" for every key), its value, and where it stands.

    covers_all: whoever asks gets this value, if no line before says otherwise. families: of a network, 4 or 6.
    """

    key: str
    value: str
    file: str = ""
    number: int = 0
    is_pattern: bool = False
    covers_all: bool = False
    family: int = 0
    prefix: int = 0
    negated: bool = False

    @property
    def place(self) -> str:
        """file, line - or what is known of it."""
        return f"{self.file}, line {self.number}" if self.number else self.file


@dataclass(frozen=True, slots=True)
class Contents:
    """readable: lines are all there is; otherwise anything may be answered."""

    spec: str
    lines: tuple[Line, ...]
    readable: bool
    has_patterns: bool = False


def read_contents(spec: str, settings: Settings) -> Contents:
    """The entries of a table; not readable where only a server knows them, or where there are too many."""
    bare = spec.removeprefix("proxy:")
    kind, _, name = bare.partition(":")
    table = open_table(spec, settings)
    if table.unavailable:
        return Contents(spec, (), readable=False)
    if kind in _LISTED:
        return _listed(spec, name, table)
    if kind == "static":
        return Contents(spec, (Line("", table.lookup("x") or "", spec, covers_all=True),), readable=True)
    if kind == "randmap":
        end = closing_brace(name)
        values = split_items(name[1:end]) if end > 0 else []
        return Contents(spec, tuple(Line("", _bare(value), spec) for value in values), readable=True)
    if kind in _RULES:
        return _rules(spec, kind, name)
    return Contents(spec, (), readable=False)


def _bare(text: str) -> str:
    return text[1:-1].strip() if text.startswith("{") and text.endswith("}") else text


def _listed(spec: str, name: str, table: Table) -> Contents:
    entries: list[tuple[str, str]] = []
    try:
        for entry in table.entries():
            entries.append(entry)
            if len(entries) > MOST_LINES:
                return Contents(spec, (), readable=False)
    except LookupFailed:
        return Contents(spec, (), readable=False)
    numbers = _line_numbers(name)
    file = spec if name.startswith("{") else name
    lines = tuple(Line(key, value, file, numbers.get(key.lower(), 0)) for key, value in entries)
    return Contents(spec, lines, readable=True)


def _line_numbers(path: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in read_entries(_text_of(path)):
        if not isinstance(entry, Problem):
            found.setdefault(entry.key.lower(), entry.number)
    return found


def _text_of(path: str) -> str:
    if not path.startswith("/"):
        return ""
    try:
        with open(path, "rb") as file:
            return decode(file.read(_TEXT_LIMIT))
    except OSError:
        return ""


def _rules(spec: str, kind: str, name: str) -> Contents:
    lines: list[Line] = []
    conditional = False
    for number, text in _rule_texts(name):
        word = text.split(None, 1)[0].lower()
        if word in {"if", "endif"} or text[:3].lower() in {"if/", "if!"}:
            conditional = True
            continue
        line = _network_line(text) if kind == "cidr" else _pattern_line(text)
        if line is not None:
            file = spec if name.startswith("{") else name
            lines.append(replace(line, file=file, number=number))
    if conditional:
        lines = [replace(line, covers_all=False) for line in lines]
    return Contents(spec, tuple(lines), readable=True, has_patterns=True)


def _rule_texts(name: str) -> Iterator[tuple[int, str]]:
    if name.startswith("{"):
        end = closing_brace(name)
        yield from ((0, _bare(item)) for item in split_items(name[1:end]) if _bare(item))
        return
    yield from ((line.number, line.text) for line in logical_lines(_text_of(name)))


def _network_line(text: str) -> Line | None:
    negated = text.startswith("!")
    words = text.lstrip("!").split(None, 1)
    if len(words) < 2:
        return None
    try:
        version, length, _ = parse_network(words[0])
    except BadNetwork:
        return None
    if negated:
        return Line(text.split(None, 1)[0], words[1], is_pattern=True, family=version, prefix=0)
    return Line(words[0], words[1], covers_all=length == 0, family=version, prefix=length)


def _pattern_line(text: str) -> Line | None:
    bare = text.lstrip("! \t")
    if not bare or bare[0].isalnum():
        return None
    end = bare.find(bare[0], 1)
    while end > 0 and bare[end - 1] == "\\":
        end = bare.find(bare[0], end + 1)
    if end < 0:
        return None
    flags, _, value = bare[end + 1 :].partition(" ")
    flags, _, more = flags.partition("\t")
    pattern = bare[1:end]
    everything = pattern in _ALL_MATCHING and not text.startswith("!") and not flags
    negated = text.startswith("!")
    return Line(pattern, (more + " " + value).strip(), is_pattern=True, covers_all=everything, negated=negated)
