"""The addresses in a header field: found, replaced, and printed again the way Postfix prints them (RFC 5322, 3.4).

Words that stand side by side count as addresses of their own; comments follow the address they belong to; a colon
begins a group only where a semicolon comes later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from posthouse.mail.address import unquote_address

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)|(?P<quoted>"(?:[^"\\]|\\.)*(?:"|\\?\Z))|(?P<literal>\[(?:[^\]\\]|\\.)*(?:\]|\\?\Z))"""
    r"""|(?P<operator>[,;:<>@.])|(?P<comment>\()|(?P<atom>(?:[^ \t\r\n",;:<>@.\[(\\]|\\.|\\\Z)+)""",
    re.DOTALL,
)
_PARENTHESIS = re.compile(r"\\.|[()]", re.DOTALL)
_LINE_LIMIT = 70
_JOINING = frozenset("@.")


@dataclass(slots=True)
class Address:
    """external is the address as it stands in the field, quoted, without white space and comments."""

    external: str

    @property
    def internal(self) -> str:
        return unquote_address(self.external)


@dataclass(slots=True)
class Entry:
    """What stands between two commas: before ("group: ", a phrase), an address or none, after it (comments)."""

    before: str = ""
    address: Address | None = None
    angle: bool = False
    after: str = ""
    ends_group: bool = False
    joined: bool = False  # no comma before it

    def __str__(self) -> str:
        text = self.address.external if self.address is not None else ""
        if self.angle:
            text = f"<{text}>"
        if self.before and text and not self.before.endswith(" "):
            text = " " + text
        after = self.after
        if after and not self.angle and (self.before or text):
            after = " " + after
        return f"{self.before}{text}{after}{';' if self.ends_group else ''}"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _scan(text: str, limit: int) -> list[_Token]:
    """Tokens, at most limit of them (header_address_token_limit); white space separates and is gone."""
    tokens: list[_Token] = []
    position = 0
    while position < len(text) and len(tokens) < limit:
        match = _TOKEN.match(text, position)
        if match is None:  # pragma: no cover - every character begins a token
            break
        kind = match.lastgroup or "atom"
        end = _comment_end(text, position) if kind == "comment" else match.end()
        if kind != "space":
            tokens.append(_Token(kind, _closed(kind, text[position:end])))
        position = end
    return tokens


def _comment_end(text: str, position: int) -> int:
    depth = 0
    for match in _PARENTHESIS.finditer(text, position):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return len(text)


def _closed(kind: str, text: str) -> str:
    """An unterminated quoted string becomes the words in it."""
    if kind == "quoted" and (len(text) < 2 or not text.endswith('"')):
        return text[1:].strip()
    return text


@dataclass(slots=True)
class _Parser:
    tokens: list[_Token]
    entries: list[Entry] = field(default_factory=list)
    words: list[_Token] = field(default_factory=list)
    prefix: str = ""
    after_semicolon: bool = False
    last_semicolon: int = -1
    last_angle: int = -1

    def parse(self) -> list[Entry]:
        self.last_semicolon = max((i for i, token in enumerate(self.tokens) if token.text == ";"), default=-1)
        self.last_angle = max((i for i, token in enumerate(self.tokens) if token.text == ">"), default=-1)
        position = 0
        while position < len(self.tokens):
            token = self.tokens[position]
            if token.kind != "operator" or token.text in _JOINING:
                self.words.append(token)
            elif token.text == "<":
                position = self._angle(position)
            else:
                self._separator(token, position)
            position += 1
        self._flush()
        if self.tokens and self.tokens[-1].text == "," and self.entries:
            self.entries.append(Entry())
        return self.entries

    def _separator(self, token: _Token, position: int) -> None:
        match token.text:
            case ",":
                self._comma()
            case ";":
                self._semicolon()
            case ":" if position < self.last_semicolon:
                self.prefix += _join(self.words) + ": "
                self.words.clear()
            case _:
                self.words.append(_Token("atom", token.text))

    def _comma(self) -> None:
        if self.words or self.prefix:
            self._flush()
        elif not self.after_semicolon and not self._follows_angle():
            self.entries.append(Entry())
        self.after_semicolon = False
        self._close_angle()

    def _semicolon(self) -> None:
        if self.words or self.prefix or not self.entries:
            self._flush()
        if not self.entries:
            self.entries.append(Entry())
        self.entries[-1].ends_group = True
        self._close_angle()
        self.after_semicolon = True

    def _angle(self, position: int) -> int:
        """From `<` to `>`; the words before it are the phrase."""
        if position > self.last_angle:
            self.words.append(_Token("atom", "<"))
            return position
        end = next(i for i in range(position + 1, len(self.tokens)) if self.tokens[i].text == ">")
        inside = self.tokens[position + 1 : end]
        if inside and inside[0].text == "@":
            colon = next((i for i, token in enumerate(inside) if token.text == ":"), -1)
            inside = inside[colon + 1 :]
        external = "".join(token.text for token in inside if token.kind != "comment")
        joined = self._open and not self.words and not self.prefix
        self.entries.append(Entry(self.prefix + _join(self.words), Address(external), angle=True, joined=joined))
        self.prefix = ""
        self.words.clear()
        self._open = True
        return end

    _open: bool = False

    def _follows_angle(self) -> bool:
        return self._open

    def _close_angle(self) -> None:
        self._open = False

    def _flush(self) -> None:
        """Words without angle brackets: addresses side by side, each with the comments before it."""
        self.after_semicolon = False
        if self._open and self.words:
            self._take_comments()
        self._open = False
        if not self.words and not self.prefix:
            return
        for group in _divide_words(self.words) or [[]]:
            comments = " ".join(token.text for token in group if token.kind == "comment")
            text = "".join(token.text for token in group if token.kind != "comment")
            text = _strip_route(text)
            self.entries.append(Entry(self.prefix, Address(text) if text else None, after=comments))
            self.prefix = ""
        self.words.clear()

    def _take_comments(self) -> None:
        """Comments right after `>` belong to that address."""
        count = next((i for i, token in enumerate(self.words) if token.kind != "comment"), len(self.words))
        self.entries[-1].after = " ".join(token.text for token in self.words[:count])
        del self.words[:count]


def _strip_route(text: str) -> str:
    if text.startswith("@") and ":" in text[:-1]:
        return text[text.index(":") + 1 :]
    return text


def _divide_words(words: list[_Token]) -> list[list[_Token]]:
    """Each word with the comments before it; the last with those after it, too. `.` and `@` join their neighbours."""
    groups: list[list[_Token]] = []
    current: list[_Token] = []
    last: _Token | None = None
    pending: list[_Token] = []
    for token in words:
        if token.kind == "comment":
            pending.append(token)
            continue
        joined = last is not None and (
            token.text in _JOINING or last.text in _JOINING or ":" in {token.text, last.text}
        )
        if last is not None and not joined:
            groups.append(current)
            current = []
        current.extend(pending)
        pending = []
        current.append(token)
        last = token
    current.extend(pending)
    if current:
        groups.append(current)
    return groups


def _join(words: list[_Token]) -> str:
    """A phrase: words with one space between, none around `.` and `@`."""
    text = ""
    last = ""
    for token in words:
        if text and token.text not in _JOINING and last not in _JOINING:
            text += " "
        text += token.text
        last = token.text
    return text


def parse_addresses(value: str, token_limit: int = 10240) -> list[Entry]:
    """The entries of a field's value."""
    return _Parser(_scan(value, token_limit)).parse()


def print_field(name: str, entries: list[Entry]) -> str:
    """The field anew: entries after a comma, on lines of less than 70 bytes (but for the tab) if possible."""
    texts = [str(entry) for entry in entries]
    lines: list[str] = []
    line, width = f"{name}:", _bytes(name) + 1
    for number, text in enumerate(texts):
        comma = number + 1 < len(texts) and not entries[number + 1].joined
        piece = f" {text}{',' if comma else ''}"
        length = _bytes(piece)
        if number and not entries[number].joined and width + length >= _LINE_LIMIT:
            lines.append(line)
            line, width = "\t" + piece[1:], length - 1
        else:
            line, width = line + piece, width + length
    lines.append(line)
    return "\n".join(lines)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
