"""The constants of an amavisd.conf as values: scalars with interpolation, lists, hashes, new_RE, read_hash
(README.lookups).

What is more than a constant raises NotSimple, and is not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeGuard

from posthouse.filters.scanner.perl_tokens import Token, What

_NAME_IN_TEXT = re.compile(r"\$(?:\{(\w+)\}|(\w+))|\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_DESTINIES = frozenset(("D_PASS", "D_DISCARD", "D_REJECT", "D_BOUNCE"))
MAX_DEPTH = 40


class NotSimple(ValueError):
    """Perl beyond a constant."""


@dataclass(frozen=True, slots=True)
class Ref:
    r"""\%name, \@name or \$name: the value that the variable has in the end."""

    sigil: str
    name: str


@dataclass(frozen=True, slots=True)
class Code:
    r"""\&name: something that Perl would run."""

    name: str


@dataclass(frozen=True, slots=True)
class Regex:
    """qr/pattern/flags."""

    pattern: str
    flags: str = ""


@dataclass(frozen=True, slots=True)
class RegexList:
    """new_RE(...): the first that matches gives its value."""

    rules: tuple[tuple[Regex, Value], ...]


Value = str | float | None | tuple["Value", ...] | dict[str, "Value"] | Ref | Code | Regex | RegexList


@dataclass(frozen=True, slots=True)
class Known:
    """What constants may refer to. variable(name with sigil) raises KeyError; run answers the few commands that are
    known ("" where not); read gives the text of a file for read_hash and read_array, and raises OSError.
    """

    variable: Callable[[str], Value]
    run: Callable[[str], str]
    read: Callable[[str], str]


def is_text(value: Value) -> TypeGuard[str | float]:
    """Whether a value is a defined scalar."""
    return isinstance(value, (str, float))


def plain(value: Value) -> str:
    """A scalar as text; "" for undef. Raises NotSimple for what is none."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e6 or value % 1 else str(int(value))
    if isinstance(value, str):
        return value
    raise NotSimple("a list where a scalar is needed")


def evaluate(words: Sequence[Token], known: Known, *, as_list: bool = False) -> Value:
    """The value of an expression that takes up all of the words. Raises NotSimple."""
    parser = _Parser(words, known)
    value: Value = tuple(parser.items("")) if as_list else parser.expression()
    if not parser.is_at_end:
        raise NotSimple(parser.where())
    return value


class _Parser:
    def __init__(self, words: Sequence[Token], known: Known) -> None:
        self._words, self._known, self._at, self._depth = words, known, 0, 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._words)

    def where(self) -> str:
        return "the end" if self.is_at_end else self._words[self._at].text

    def _sign(self, *texts: str) -> bool:
        """Whether the next word is one of these signs; then it is taken."""
        if self.is_at_end or self._words[self._at].what is not What.SIGN or self._words[self._at].text not in texts:
            return False
        self._at += 1
        return True

    def items(self, closing: str) -> list[Value]:
        """Values up to the closing sign ("" the end); lists among them become part of the list."""
        found: list[Value] = []
        while not self.is_at_end and not (closing and self._sign(closing)):
            if self._sign(",", "=>"):
                continue
            value = self.expression()
            flat = isinstance(value, tuple) and not self._was_bracket
            found += value if flat and isinstance(value, tuple) else [value]
            if self.is_at_end:
                if closing:
                    raise NotSimple("the end")
            elif self._words[self._at].text not in (",", "=>", closing):
                raise NotSimple(self.where())
        return found

    _was_bracket = False  # whether the last value came from [ ]: such a list stays one value

    def expression(self) -> Value:
        value = self._term()
        bracket = self._was_bracket
        while self._sign("."):
            value, bracket = plain(value) + plain(self._term()), False
        while self._sign("*"):
            value, bracket = prod((_number(value), _number(self._term()))), False
        self._was_bracket = bracket
        return value

    def _term(self) -> Value:
        self._depth += 1
        if self._depth > MAX_DEPTH or self.is_at_end:
            raise NotSimple("nested too deeply" if self._depth > MAX_DEPTH else "the end")
        token = self._words[self._at]
        self._at += 1
        self._was_bracket = False
        value = self._name(token) if token.what is What.NAME else self._literal(token)
        self._was_bracket = token.text == "[" and token.what is What.SIGN
        self._depth -= 1
        return value

    def _literal(self, token: Token) -> Value:
        match token.what:
            case What.NUMBER:
                return float(token.text.replace("_", ""))
            case What.SINGLE:
                return re.sub(r"\\([\\'])", r"\1", token.text)
            case What.DOUBLE:
                return self._interpolated(token.text)
            case What.WORDS:
                return tuple(token.text.split())
            case What.REGEX:
                return Regex(token.text, token.flags)
            case What.COMMAND:
                return self._command(token.text)
            case What.VARIABLE:
                return self._variable(token.text)
            case _:
                return self._nested(token.text)

    def _nested(self, sign: str) -> Value:
        if sign == "(":
            return tuple(self.items(")"))
        if sign == "[":
            return tuple(self.items("]"))
        if sign == "{":
            return _pairs(self.items("}"))
        if sign == "-":
            return -_number(self._term())
        if sign == "\\" and not self.is_at_end and self._words[self._at].what is What.VARIABLE:
            name = self._words[self._at].text
            self._at += 1
            return Code(name[1:]) if name[0] == "&" else Ref(name[0], name[1:])
        raise NotSimple(sign)

    def _name(self, token: Token) -> Value:
        name = token.text
        if not self.is_at_end and self._words[self._at].text == "=>":
            return name
        if name == "undef":
            return None
        if name in _DESTINIES:
            return name
        arguments = self._arguments()
        match name:
            case "new_RE":
                return RegexList(tuple(_rule(item) for item in arguments))
            case "read_hash":
                return _hash_of(self._file(arguments))
            case "read_array":
                return tuple(line.split("#", 1)[0].strip() for line in self._file(arguments) if _has_word(line))
            case "lc" | "uc" if len(arguments) == 1:
                return plain(arguments[0]).lower() if name == "lc" else plain(arguments[0]).upper()
            case _:
                raise NotSimple(name)

    def _arguments(self) -> list[Value]:
        if not self._sign("("):
            raise NotSimple(self.where())
        return self.items(")")

    def _file(self, arguments: list[Value]) -> list[str]:
        """The lines of the file that read_hash and read_array name last."""
        if not arguments or not isinstance(arguments[-1], str):
            raise NotSimple("no file name")
        try:
            return self._known.read(arguments[-1]).splitlines()
        except OSError as error:
            raise NotSimple(f"{arguments[-1]}: {error.strerror}") from error

    def _variable(self, name: str) -> Value:
        if not self.is_at_end and self._words[self._at].text in ("[", "{", "->"):
            raise NotSimple(f"an element of {name}")
        try:
            return self._known.variable(name)
        except KeyError:
            raise NotSimple(f"{name} is not known") from None

    def _command(self, text: str) -> str:
        answer = self._known.run(text)
        if not answer:
            raise NotSimple(f"`{text}`")
        return answer

    def _interpolated(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            if match[3] is not None:
                return _ESCAPES.get(match[3], match[3])
            return plain(self._variable_in_text(f"${match[1] or match[2]}"))

        return _NAME_IN_TEXT.sub(value, text)

    def _variable_in_text(self, name: str) -> Value:
        try:
            return self._known.variable(name)
        except KeyError:
            raise NotSimple(f"{name} is not known") from None


def _number(value: Value) -> float:
    try:
        return float(plain(value) or 0)
    except ValueError:
        raise NotSimple(f"no number: {value}") from None


def _pairs(items: list[Value]) -> dict[str, Value]:
    if len(items) % 2:
        raise NotSimple("a hash with an odd number of values")
    return {plain(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _rule(item: Value) -> tuple[Regex, Value]:
    if isinstance(item, Regex):
        return item, 1.0
    if isinstance(item, str):
        return Regex(item), 1.0
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], (Regex, str)):
        return (item[0] if isinstance(item[0], Regex) else Regex(item[0])), item[1]
    raise NotSimple("new_RE with what is no regular expression")


def _has_word(line: str) -> bool:
    return bool(line.split("#", 1)[0].strip())


def _hash_of(lines: list[str]) -> dict[str, Value]:
    """read_hash: an address on each line, and a value behind it where it is not 1."""
    found: dict[str, Value] = {}
    for line in lines:
        words = line.split("#", 1)[0].split(None, 1)
        if words:
            found[words[0].lower()] = words[1].strip() if len(words) > 1 else 1.0
    return found
