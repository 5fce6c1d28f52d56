"""The words of an amavisd.conf: strings, numbers, variables, qr and qw, with the lines they stand on (perlop(1)).

Only what constants are written with is known by name; any other character is a word of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_SPACE = re.compile(r"(?:\s+|#[^\n]*)+")
_NUMBER = re.compile(r"\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+")
_VARIABLE = re.compile(r"[$@%&](?:\{\s*\w+\s*\}|\w+(?:::\w+)*)")
_WORD = re.compile(r"[A-Za-z_]\w*(?:::\w+)*")
_HEREDOC = re.compile(r"<<\s*(?:'(\w+)'|\"(\w+)\"|(\w+))")
_QUOTE_WORDS = frozenset(("q", "qq", "qr", "qw", "m"))
_TWO = ("=>", "->", "..", "==", "||", "&&")


class What(Enum):
    """What a word is."""

    NAME = "name"  # a bare word
    NUMBER = "number"
    SINGLE = "single"  # text in which nothing is replaced
    DOUBLE = "double"  # text with variables in it
    WORDS = "words"  # qw
    REGEX = "regex"
    COMMAND = "command"  # between backticks
    VARIABLE = "variable"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """A word. text is without quotes; flags are those behind a regular expression."""

    what: What
    text: str
    line: int
    flags: str = ""


class Unfinished(ValueError):
    """Something was opened and never closed; line is where."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}: never closed")
        self.line = line


def tokens(text: str) -> Iterator[Token]:
    """The words of a file, up to __END__. Raises Unfinished."""
    reader = _Reader(text)
    while (token := reader.next()) is not None:
        yield token


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at, self._line = text, 0, 1
        self._documents: list[str] = []  # ends of here-documents that begin on the next line

    def next(self) -> Token | None:
        self._skip()
        if self._at >= len(self._text):
            return None
        line, character = self._line, self._text[self._at]
        if character in "'\"`":
            what = {"'": What.SINGLE, '"': What.DOUBLE, "`": What.COMMAND}[character]
            return Token(what, self._quoted(character), line)
        if found := _HEREDOC.match(self._text, self._at):
            self._documents.append(found[1] or found[2] or found[3])
            return self._take(What.SIGN, found[0], line)
        if found := _VARIABLE.match(self._text, self._at):
            self._at = found.end()
            return Token(What.VARIABLE, found[0][0] + found[0][1:].strip("{ }"), line)
        if found := _NUMBER.match(self._text, self._at):
            return self._take(What.NUMBER, found[0], line)
        if found := _WORD.match(self._text, self._at):
            return self._word(found[0], line)
        sign = self._text[self._at : self._at + 2]
        return self._take(What.SIGN, sign if sign in _TWO else character, line)

    def _take(self, what: What, text: str, line: int) -> Token:
        self._at += len(text)
        return Token(what, text, line)

    def _word(self, word: str, line: int) -> Token | None:
        if word in ("__END__", "__DATA__"):
            self._at = len(self._text)
            return None
        self._at += len(word)
        behind = self._text[self._at : self._at + 1]
        is_quote = word in _QUOTE_WORDS and bool(behind) and not behind.isspace() and behind not in ",;=)\x00"
        if word == "qw" and not is_quote and (found := re.compile(r"\s*(?=[(\[{])").match(self._text, self._at)):
            self._at, is_quote = found.end(), True
            behind = self._text[self._at]
        if not is_quote:
            return Token(What.NAME, word, line)
        content = self._quoted(behind)
        if word in ("qr", "m"):
            flags = re.compile(r"[a-z]*").match(self._text, self._at)
            letters = flags[0] if flags else ""
            self._at += len(letters)
            return Token(What.REGEX, content, line, letters)
        return Token({"q": What.SINGLE, "qq": What.DOUBLE, "qw": What.WORDS}[word], content, line)

    def _quoted(self, opening: str) -> str:
        """What stands between this delimiter and its partner; the escapes stay as they are."""
        closing, depth, line = _PAIRS.get(opening, opening), 1, self._line
        start = self._at = self._at + 1
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == "\\":
                self._at += 1
            elif character == closing:
                depth -= 1
            elif character == opening:
                depth += 1
            if not depth:
                content = self._text[start : self._at - 1]
                self._line += content.count("\n")
                return content
        raise Unfinished(line)

    def _skip(self) -> None:
        """White space, comments, documentation, and here-documents."""
        while self._at < len(self._text):
            if self._text[self._at] == "=" and (self._at == 0 or self._text[self._at - 1] == "\n"):
                self._jump(self._find("\n=cut"))
                continue
            found = _SPACE.match(self._text, self._at)
            if found is None:
                return
            newline = found[0].find("\n")
            if newline >= 0 and self._documents:
                self._jump(found.start() + newline + 1)
                self._skip_document()
            else:
                self._jump(found.end())

    def _skip_document(self) -> None:
        end = self._documents.pop(0)
        found = re.compile(rf"^{re.escape(end)}[ \t]*$", re.MULTILINE).search(self._text, self._at)
        if found is None:
            raise Unfinished(self._line)
        self._jump(found.end())

    def _find(self, text: str) -> int:
        found = self._text.find(text, self._at)
        end = self._text.find("\n", found + 1) if found >= 0 else -1
        return end if end >= 0 else len(self._text)

    def _jump(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to
