"""$name, ${name?yes}, ${name:no}, ${{a} == {b} ? {yes} : {no}}: the language of values (postconf(5))."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Final

DEEPEST = 100

Lookup = Callable[[str], str | None]

_PLAIN: Final = re.compile(r"[A-Za-z0-9_]+")
_NAME: Final = re.compile(r"[^\s?:{}()]+")
_OPERATOR: Final = re.compile(r"\s*(==|!=|<=|>=|<|>)(level)?\s*")
_COMPARE: Final[dict[str, Callable[..., bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class ExpansionError(ValueError):
    """A value that cannot be expanded."""


def expand(value: str, lookup: Lookup, depth: int = 0) -> str:
    """The value with its $names replaced. lookup gives the expanded value of a name, None where it has none.

    ExpansionError where the text is not well formed.
    """
    if "$" not in value:
        return value
    if depth > DEEPEST:
        raise ExpansionError(f'unreasonable macro call nesting: "{value}"')
    parts: list[str] = []
    at = 0
    while (dollar := value.find("$", at)) >= 0:
        parts.append(value[at:dollar])
        follows = value[dollar + 1 : dollar + 2]
        if follows == "$":
            parts.append("$")
            at = dollar + 2
        elif follows and follows in "({":
            end = closing(value, dollar + 1)
            parts.append(_evaluate(value[dollar + 2 : end], lookup, depth))
            at = end + 1
        else:
            plain = _PLAIN.match(value, dollar + 1)
            if plain is None:
                raise ExpansionError(f'empty macro name: "{value}"')
            parts.append(lookup(plain.group()) or "")
            at = plain.end()
    parts.append(value[at:])
    return "".join(parts)


def closing(value: str, opening: int) -> int:
    """Where the brace or parenthesis at opening closes."""
    begin, end = value[opening], ")" if value[opening] == "(" else "}"
    level = 0
    for at in range(opening, len(value)):
        letter = value[at]
        if letter == begin:
            level += 1
        elif letter == end:
            level -= 1
            if level == 0:
                return at
    raise ExpansionError(f'truncated macro reference: "{value}"')


def _braced(text: str, at: int) -> tuple[str, int]:
    """The trimmed text in braces at a position, and the position behind them."""
    if text[at : at + 1] != "{":
        raise ExpansionError(f'bad "{{text}}" syntax: "{text}"')
    end = closing(text, at)
    return text[at + 1 : end].strip(), end + 1


def _evaluate(body: str, lookup: Lookup, depth: int) -> str:
    at = len(body) - len(body.lstrip())
    if body.startswith("{", at):
        value, at = _comparison(body, at, lookup, depth)
    else:
        name = _NAME.match(body, at)
        if name is None:
            raise ExpansionError(f'empty macro name: "{body}"')
        value, at = lookup(name.group()) or "", name.end()
    rest = body[at:].lstrip()
    if not rest:
        return value
    if rest[0] not in "?:":
        raise ExpansionError(f'"{body}": expected "?" or ":" after the name')
    yes, no = _branches(rest, body)
    branch = yes if value else no
    return expand(branch, lookup, depth + 1) if branch is not None else ""


def _branches(rest: str, body: str) -> tuple[str | None, str | None]:
    """The two texts of ?yes, :no, ?{yes}:{no}; None for one that is absent."""
    sign, text = rest[0], rest[1:]
    trimmed = text.lstrip()
    if not trimmed.startswith("{"):
        return (text, None) if sign == "?" else (None, text)
    first, end = _braced(trimmed, 0)
    left = trimmed[end:].strip()
    if sign == ":":
        if left:
            raise ExpansionError(f'unexpected input at end of: "{body}"')
        return None, first
    if not left:
        return first, None
    if left[0] != ":":
        raise ExpansionError(f'"{body}": expected ":" after the first text')
    second = left[1:].lstrip()
    if not second.startswith("{"):
        return first, second
    no, end = _braced(second, 0)
    if second[end:].strip():
        raise ExpansionError(f'unexpected input at end of: "{body}"')
    return first, no


def _comparison(body: str, at: int, lookup: Lookup, depth: int) -> tuple[str, int]:
    left, at = _braced(body, at)
    sign = _OPERATOR.match(body, at)
    if sign is None:
        raise ExpansionError(f'"{body}": expected a relational operator')
    right, at = _braced(body, sign.end())
    left, right = expand(left, lookup, depth + 1), expand(right, lookup, depth + 1)
    compare = _COMPARE[sign.group(1)]
    if sign.group(2):
        truth = compare(level(left), level(right))
    elif _is_number(left) and _is_number(right):
        truth = compare(int(left), int(right))
    else:
        truth = compare(left, right)
    return "true" if truth else "", at


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def level(text: str) -> tuple[int, int, int]:
    """A compatibility level, "3.6" or "3.6.1" or "2", as something that compares."""
    parts = text.split(".")
    if len(parts) > 3 or not all(_is_number(part) for part in parts):
        raise ExpansionError(f'malformed compatibility level syntax: "{text}"')
    numbers = [int(part) for part in parts] + [0, 0]
    return numbers[0], numbers[1], numbers[2]
