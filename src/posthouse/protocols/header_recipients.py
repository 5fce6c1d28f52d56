"""Addresses in header fields and on sendmail's command line (RFC 5322, 3.4), read leniently as sendmail(1) does."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(r'\s+|"(?:[^"\\]|\\.)*"?|\[[^\]]*\]?|[<>,:;()]|(?:[^\s"\[<>,:;()\\]|\\.)+|\\', re.DOTALL)
_RECIPIENT_FIELDS = frozenset({"to", "cc", "bcc"})
_RESENT_FIELDS = frozenset({"resent-to", "resent-cc", "resent-bcc"})


def addresses(text: str) -> list[str]:
    """The addresses of a list in internal form, in order; <> is "". Comments, names and groups are passed over."""
    return [address for tokens in _entries(_without_comments(text)) for address in _read(tokens)]


def recipients_of(header: bytes) -> list[str]:
    """All recipients that a header names: those of its Resent- fields where it has any, else of To:, Cc: and Bcc:."""
    plain: list[str] = []
    resent: list[str] = []
    has_resent = False
    for name, value in fields(header):
        if name in _RESENT_FIELDS:
            has_resent = True
            resent += addresses(value)
        elif name in _RECIPIENT_FIELDS:
            plain += addresses(value)
    return [address for address in (resent if has_resent else plain) if address]


def fields(header: bytes) -> Iterator[tuple[str, str]]:
    """Name in lower case and unfolded value of each field."""
    text = header.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    for field in re.split(r"\n(?![ \t])", text):
        name, colon, value = field.partition(":")
        if colon:
            yield name.strip().lower(), value.replace("\n", " ")


def _without_comments(text: str) -> Iterator[str]:
    """Tokens; white space is one blank, a comment as well."""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "(":
            depth += 1
        elif token == ")":
            depth = max(0, depth - 1)
        elif not depth:
            yield " " if token.isspace() else token


def _entries(tokens: Iterator[str]) -> Iterator[list[str]]:
    """Split at commas and group ends, outside angle brackets; a group's name is passed over."""
    entry: list[str] = []
    in_angle = False
    for token in tokens:
        if token == "<":
            in_angle = True
        elif token == ">":
            in_angle = False
        if in_angle or token not in {",", ";", ":"}:
            entry.append(token)
            continue
        if token != ":":
            yield entry
        entry = []
    yield entry


def _read(tokens: list[str]) -> Iterator[str]:
    if "<" in tokens:
        start = tokens.index("<") + 1
        end = tokens.index(">", start) if ">" in tokens[start:] else len(tokens)
        yield "".join(_plain(token) for token in tokens[start:end] if token != " ")
        return
    for word in _words(tokens):
        yield "".join(_plain(token) for token in word)


def _words(tokens: list[str]) -> Iterator[list[str]]:
    """Words are addresses of their own, but blanks beside a dot or @ do not part them."""
    word: list[str] = []
    parted = False
    for token in tokens:
        if token in {" ", ">"}:
            parted = True
            continue
        joins = bool(word) and (word[-1][-1] in ".@" or token[0] in ".@")
        if word and parted and not joins:
            yield word
            word = []
        parted = False
        word.append(token)
    if word:
        yield word


def _plain(token: str) -> str:
    """Without quotes and backslashes."""
    if token.startswith('"'):
        token = token[1:].removesuffix('"')
    elif token.startswith("["):
        return token
    return re.sub(r"\\(.)", r"\1", token, flags=re.DOTALL)
