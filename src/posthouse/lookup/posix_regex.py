"""POSIX regular expressions, as the C library reads them, put into PCRE2's words (regexp_table(5), regex(7)).

Differs from Postfix: where alternatives of different length match at one place, PCRE2 takes the first, POSIX the
longest; whether a pattern matches is the same, what $1 holds may not be.
"""

from __future__ import annotations

import re

_CLASSES = frozenset(
    ["alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"]
)
_INTERVAL = re.compile(r"(\d*)(,?)(\d*)")
_REPEAT_LIMIT = 32767
_NOTHING_BEFORE = "Invalid preceding regular expression"
_SPECIAL = frozenset(r"\^$.|?*+()[]{}#-/ ")
_GNU = {"<": r"\b(?=\w)", ">": r"\b(?<=\w)", "`": r"\A", "'": r"\z", "w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S",
        "b": r"\b", "B": r"\B"}  # fmt: skip


class BadPattern(ValueError):
    """Text that is no regular expression; str() is what the C library says of it."""


def translate(pattern: str, *, extended: bool = True, multiline: bool = False) -> str:
    """The pattern for PCRE2, to be compiled with DOTALL unless multiline, and DOLLAR_ENDONLY. Raises BadPattern."""
    return _Translation(pattern, extended, multiline).run()


class _Translation:
    def __init__(self, pattern: str, extended: bool, multiline: bool) -> None:
        self._text, self._at = pattern, 0
        self._extended, self._multiline = extended, multiline
        self._out: list[str] = []
        self._opened: list[int] = []
        self._groups = 0
        self._numbers: list[int] = []  # of the groups that are open
        self._closed: set[int] = set()
        self._atom = -1  # where in _out the last thing begins that can be repeated; -1: there is none

    def run(self) -> str:
        while self._at < len(self._text):
            self._step()
        if self._opened:
            raise BadPattern("Unmatched ( or \\(")
        return "".join(self._out)

    def _step(self) -> None:
        character = self._text[self._at]
        self._at += 1
        if character == "\\":
            self._escape()
        elif character == "[":
            self._put(self._bracket())
        elif character == ".":
            self._put("." if not self._multiline else r"[^\n]")
        elif character == "*":
            self._star()
        elif character in "^$":
            self._anchor(character)
        elif self._extended and character in "()|+?{":
            self._operator(character)
        else:
            self._put(_literal(character))

    def _put(self, text: str) -> None:
        self._atom = len(self._out)
        self._out.append(text)

    def _escape(self) -> None:
        if self._at >= len(self._text):
            raise BadPattern("Trailing backslash")
        character = self._text[self._at]
        self._at += 1
        if not self._extended and character in "(){|+?":
            self._operator(character)
        elif character.isascii() and character.isdigit() and character != "0":
            if int(character) not in self._closed:
                raise BadPattern("Invalid back reference")
            self._put(f"(?:\\{character})")
        elif character in _GNU:
            self._put(_GNU[character])
            if character in "<>`'bB":
                self._atom = -1
        else:
            self._put(_literal(character))

    def _star(self) -> None:
        if self._atom >= 0:
            self._repeat("*")
        elif self._extended:
            raise BadPattern(_NOTHING_BEFORE)
        else:
            self._put(r"\*")

    def _anchor(self, character: str) -> None:
        if not self._extended and not self._anchors(character):
            self._put("\\" + character)
            return
        if character == "^":
            self._out.append("(?m:^)" if self._multiline else r"\A")
        else:
            self._out.append("(?m:$)" if self._multiline else r"\z")
        self._atom = -1  # nothing may repeat it

    def _anchors(self, character: str) -> bool:
        """In a basic expression: "^" at the start, "$" at the end, of all or of a group."""
        before, after = self._text[: self._at - 1], self._text[self._at :]
        if character == "^":
            return not before or before.endswith(("\\(", "\\|"))
        return not after or after.startswith(("\\)", "\\|"))

    def _operator(self, character: str) -> None:
        match character:
            case "(":
                self._groups += 1
                self._opened.append(len(self._out))
                self._numbers.append(self._groups)
                self._out.append("(")
                self._atom = -1
            case ")":
                self._close()
            case "|":
                self._out.append("|")
                self._atom = -1
            case "{":
                self._interval()
            case _ if self._atom >= 0:
                self._repeat(character)
            case _ if self._extended:
                raise BadPattern(_NOTHING_BEFORE)
            case _:
                self._put("\\" + character)

    def _close(self) -> None:
        if not self._opened:
            if not self._extended:
                raise BadPattern("Unmatched ( or \\(")
            self._put(r"\)")
            return
        start = self._opened.pop()
        self._closed.add(self._numbers.pop())
        self._out.append(")")
        self._atom = start

    def _interval(self) -> None:
        if self._atom < 0:
            raise BadPattern(_NOTHING_BEFORE)
        match = _INTERVAL.match(self._text, self._at)
        assert match is not None
        closing = "}" if self._extended else "\\}"
        least, comma, most = match.groups()
        if match.end() >= len(self._text):
            raise BadPattern("Unmatched \\{")
        if not self._text.startswith(closing, match.end()) or not (least or comma):
            raise BadPattern("Invalid content of \\{\\}")
        self._at = match.end() + len(closing)
        low, high = int(least or 0), int(most) if most else -1
        if 0 <= high < low:
            raise BadPattern("Invalid content of \\{\\}")
        if max(low, high) > _REPEAT_LIMIT:
            raise BadPattern("Regular expression too big")
        self._repeat(f"{{{low}{',' if comma else ''}{most}}}")

    def _repeat(self, operator: str) -> None:
        """Repeat the last thing; what is repeated already is put in a group, as "a+?" means "(a+)?"."""
        atom = "".join(self._out[self._atom :])
        del self._out[self._atom :]
        self._out.append(f"(?:{atom}){operator}" if len(atom) > 1 and not _is_group(atom) else atom + operator)

    def _bracket(self) -> str:
        """A list in brackets; the first bracket is read already. In it "]", "^", "-" and "[:" are special."""
        negated = self._text.startswith("^", self._at)
        self._at += negated
        members: list[str] = []
        first = True
        while True:
            if self._at >= len(self._text):
                raise BadPattern("Unmatched [, [^, [:, [., or [=")
            if self._text[self._at] == "]" and not first:
                self._at += 1
                break
            first = False
            members.append(self._member())
        newline = r"\n" if negated and self._multiline else ""
        return f"[{'^' if negated else ''}{newline}{''.join(members)}]"

    def _member(self) -> str:
        start, is_class = self._element()
        if is_class:
            return start
        if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
            self._at += 1
            if self._at >= len(self._text):
                raise BadPattern("Unmatched [, [^, [:, [., or [=")
            end, is_class = self._element()
            if is_class or end < start:
                raise BadPattern("Invalid range end")
            return f"{_inside(start)}-{_inside(end)}"
        return _inside(start)

    def _element(self) -> tuple[str, bool]:
        """One character, or a class."""
        text, at = self._text, self._at
        if text[at] == "[" and text[at + 1 : at + 2] in (":", ".", "="):
            kind = text[at + 1]
            end = text.find(kind + "]", at + 2)
            if end < 0:
                raise BadPattern("Unmatched [, [^, [:, [., or [=")
            name = text[at + 2 : end]
            self._at = end + 2
            if kind == ":":
                if name not in _CLASSES:
                    raise BadPattern("Invalid character class name")
                return f"[:{name}:]", True
            if len(name) != 1:
                raise BadPattern("Invalid collation character")
            return name, False
        self._at += 1
        return text[at], False


def _literal(character: str) -> str:
    return "\\" + character if character in _SPECIAL else character


def _inside(character: str) -> str:
    return "\\" + character if character in r"\]^-[" else character


def _is_group(atom: str) -> bool:
    """Whether the text is one group, so that an operator may follow it."""
    if atom[0] == "[":
        return _bracket_end(atom) == len(atom)
    if atom[0] == "\\" and len(atom) == 2:
        return True
    if atom[0] != "(" or atom.startswith("(?m"):
        return False
    depth = position = 0
    while position < len(atom):
        if atom[position] == "\\":
            position += 1
        elif atom[position] == "[":
            position += _bracket_end(atom[position:]) - 1
        elif atom[position] in "()":
            depth += 1 if atom[position] == "(" else -1
            if not depth:
                return position + 1 == len(atom)
        position += 1
    return False


def _bracket_end(text: str) -> int:
    position = 1
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text.startswith("[:", position):
            position = text.index(":]", position) + 1
        elif text[position] == "]":
            return position + 1
        position += 1
    return len(text)
