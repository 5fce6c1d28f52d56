"""The right-hand side of an alias and the lines of .forward and :include: files, taken apart (aliases(5))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.lookup.aliases_text import tokenize
from posthouse.mail.address import unquote_address

_INCLUDE = ":include:"
_JOINING = (("special", "@"), ("special", "."), ("special", ":"))


@dataclass(frozen=True, slots=True)
class ToAddress:
    """Another address, in internal form, perhaps without a domain. "" is the empty address."""

    address: str


@dataclass(frozen=True, slots=True)
class ToCommand:
    """A command line."""

    command: str


@dataclass(frozen=True, slots=True)
class ToFile:
    """An mbox, or a Maildir where the path ends in a slash. The path may begin with ~/."""

    path: str


@dataclass(frozen=True, slots=True)
class ToInclude:
    """The members that a file lists."""

    path: str


Destination = ToAddress | ToCommand | ToFile | ToInclude
Token = tuple[str, str]


def read_destinations(text: str) -> Iterator[Destination]:
    """The members of a list separated by commas."""
    for item in _items(text):
        for words in _words(item):
            destination = _read(words)
            if destination is not None:
                yield destination


def read_lines(data: bytes, line_limit: int) -> Iterator[Destination]:
    """The members that a file lists: comments and empty lines left out, long lines in parts of line_limit bytes."""
    for line in data.splitlines():
        if line.startswith(b"#"):
            continue
        for start in range(0, len(line), line_limit):
            yield from read_destinations(line[start : start + line_limit].decode("utf-8", "surrogateescape"))


def _items(text: str) -> Iterator[list[Token]]:
    """Tokens between commas that stand outside <>."""
    item: list[Token] = []
    bracketed = False
    for kind, token in tokenize(text):
        if kind == "special" and token in "<>":
            bracketed = token == "<"
        if kind == "special" and token in ",;" and not bracketed:
            yield item
            item = []
        elif kind != "comment":
            item.append((kind, token))
    yield item


def _words(item: list[Token]) -> Iterator[list[Token]]:
    """Words side by side are members of their own where there are no <>: a command with spaces needs quotes."""
    if ("special", "<") in item:
        yield item
        return
    words: list[Token] = []
    for place, token in enumerate(item):
        neighbours = (*item[place - 1 : place], *item[place + 1 : place + 2])
        if token == ("special", ">") or (token[0] == "space" and not any(near in _JOINING for near in neighbours)):
            yield words
            words = []
        else:
            words.append(token)
    yield words


def _read(item: list[Token]) -> Destination | None:
    while item and item[0][0] == "space":
        item = item[1:]
    while item and item[-1][0] == "space":
        item = item[:-1]
    if not item:
        return None
    plain = _plain(item)
    if plain[: len(_INCLUDE)].lower() == _INCLUDE:
        return ToInclude(plain[len(_INCLUDE) :].strip())
    if plain.startswith("|"):
        return ToCommand(plain[1:].strip())
    if plain.startswith(("/", "~/")):
        return ToFile(plain)
    return _address(item)


def _plain(item: list[Token]) -> str:
    """The text without quotes and their backslashes, spaces folded."""
    parts = []
    for kind, token in item:
        if kind == "space":
            parts.append(" ")
        elif kind == "quoted":
            parts.append(_unquoted(token))
        else:
            parts.append(token)
    return "".join(parts)


def _unquoted(token: str) -> str:
    inner = token[1:-1] if len(token) > 1 and token.endswith('"') else token[1:]
    out, escaped = [], False
    for character in inner:
        if character == "\\" and not escaped:
            escaped = True
            continue
        out.append(character)
        escaped = False
    return "".join(out)


def _address(item: list[Token]) -> Destination | None:
    """An address, alone or in <> after a name (RFC 5322, 3.4)."""
    opening = next((place for place, token in enumerate(item) if token == ("special", "<")), None)
    if opening is not None:
        inside = item[opening + 1 :]
        closing = next((place for place, token in enumerate(inside) if token == ("special", ">")), len(inside))
        return ToAddress(_internal(inside[:closing]))
    text = _internal(item)
    return ToAddress(text) if text.strip("@") else None


def _internal(item: list[Token]) -> str:
    at = max((place for place, token in enumerate(item) if token == ("special", "@")), default=None)
    if at is None:
        return _local(item)
    domain = "".join(token for kind, token in item[at + 1 :] if kind != "space")
    return f"{_local(item[:at])}@{domain}"


def _local(item: list[Token]) -> str:
    text = _plain(item).strip()
    # Outside quotes a backslash only protects the next character: \alice is alice.
    return unquote_address(text) if all(kind != "quoted" for kind, _ in item) else text
