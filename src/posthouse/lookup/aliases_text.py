"""The text of an alias file, "name: value, value" (aliases(5)), as postalias reads it: RFC 822 words, comments kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

from posthouse.lookup.text_map import Entry, LogicalLine, Problem, logical_lines, printable

_SPACES = " \t\r\v\f\n"
_TOKEN = re.compile(
    r'(?P<space>[ \t\r\v\f\n]+)|(?P<quoted>"(?:[^"\\]|\\.)*(?:"|\Z))|(?P<literal>\[(?:[^\]\\]|\\.)*(?:\]|\Z))'
    r"|(?P<special>[<>@,;:.])|(?P<atom>(?:\\.|[^\s\"\[(<>@,;:.])+|.)",
    re.DOTALL,
)


def read_aliases(text: str, *, utf8: bool = True) -> Iterator[Entry | Problem]:
    """The entries (key unquoted and not folded, value with ", " between its members), and what is wrong."""
    for line in logical_lines(text):
        if utf8 and not line.text.isascii() and _has_stray_bytes(line.text):
            yield Problem(line.number, f'non-UTF-8 input "{printable(line.text)}" -- ignoring this line')
        elif line.text[0] in _SPACES:
            yield Problem(0, f'logical line must not start with whitespace: "{printable(line.text[:30])}"')
        else:
            yield _read_alias(line)


def _has_stray_bytes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _read_alias(line: LogicalLine) -> Entry | Problem:
    tokens = list(tokenize(line.text))
    colon = next((place for place, (kind, text) in enumerate(tokens) if kind == "special" and text == ":"), -1)
    if colon < 0:
        return Problem(line.number, "need name:value pair")
    name, value = _unquoted(tokens[:colon]), externalize(tokens[colon + 1 :])
    if not name or not value:
        return Problem(line.number, "need name:value pair")
    if "@" in name:
        return Problem(line.number, "name must be local")
    return Entry(line.number, name, value)


def tokenize(text: str) -> Iterator[tuple[str, str]]:
    """(kind, text); kind is space, quoted, literal, comment, special or atom. Quotes and brackets stay."""
    position = 0
    while position < len(text):
        if text[position] == "(":
            end = _comment_end(text, position)
            yield "comment", text[position:end]
        else:
            match = _TOKEN.match(text, position)
            assert match is not None
            assert match.lastgroup is not None
            end = match.end()
            yield match.lastgroup, match[0]
        position = end


def _comment_end(text: str, start: int) -> int:
    depth, position = 0, start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if not depth:
                return position + 1
        position += 1
    return len(text)


def _unquoted(tokens: list[tuple[str, str]]) -> str:
    parts: list[str] = []
    spaced = False
    for kind, text in tokens:
        if kind == "space":
            spaced = bool(parts)
            continue
        if spaced and text not in "@.":
            parts.append(" ")
        spaced = False
        parts.append(re.sub(r"\\(.)|\"", r"\1", text, flags=re.DOTALL) if kind == "quoted" else text)
    return "".join(parts)


def externalize(tokens: list[tuple[str, str]]) -> str:
    """The tokens written one way: a space between words that had one, ", " after a comma."""
    parts: list[str] = []
    before = ""
    spaced = False
    for kind, text in tokens:
        if kind == "space":
            spaced = True
            continue
        if kind == "special":
            parts.append(", " if text == "," else text)
        else:
            if spaced and before and before != "special":
                parts.append(" ")
            parts.append(text)
        before, spaced = kind, False
    return "".join(parts).rstrip(_SPACES)
