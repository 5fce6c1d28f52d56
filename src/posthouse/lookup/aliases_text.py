"""The text of an alias file, "name: value, value" (aliases(5)), as postalias reads it: RFC 822 words, comments kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

from posthouse.lookup.text_map import SPACES, Entry, LogicalLine, Problem, logical_lines, printable

_TOKEN = re.compile(
    r'(?P<space>[ \t\r\v\f\n]+)|(?P<quoted>"(?:[^"\\]|\\.)*(?:"|\Z))|(?P<literal>\[(?:[^\]\\]|\\.)*(?:\]|\Z))'
    r"|(?P<special>[<>@,;:.!|%])|(?P<atom>(?:\\.|[^ \t\r\v\f\n\"\[(<>@,;:.!|%\\])+|.)",
    re.DOTALL,
)


def read_aliases(text: str, *, utf8: bool = True) -> Iterator[Entry | Problem]:
    """The entries (key unquoted and not folded, value with ", " between its members), and what is wrong."""
    for line in logical_lines(text):
        if utf8 and not line.text.isascii() and _has_stray_bytes(line.text):
            yield Problem(line.number, f'non-UTF-8 input "{printable(line.text)}" -- ignoring this line')
        elif line.text[0] in SPACES:
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
    return externalize([(kind, _without_quotes(text) if kind == "quoted" else text) for kind, text in tokens])


def _without_quotes(text: str) -> str:
    return re.sub(r"\\(.)|\"", r"\1", text, flags=re.DOTALL)


def externalize(tokens: list[tuple[str, str]]) -> str:
    """The tokens written one way: a space between words and before "<", ", " after a comma; no other space."""
    parts: list[str] = []
    after_word = False
    for kind, text in tokens:
        if kind == "space":
            continue
        is_word = kind != "special"
        if (after_word and is_word) or (text == "<" and parts and not parts[-1].endswith(" ")):
            parts.append(" ")
        if kind == "atom":
            text = re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
        parts.append(", " if text == "," else text)
        after_word = is_word
    return "".join(parts)
