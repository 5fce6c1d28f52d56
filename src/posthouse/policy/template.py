"""One level of $name and ${name?text} in a reply text (postconf(5), default_rbl_reply)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"\w+")
_MAX_DEPTH = 10


class UnknownName(KeyError):
    """The template names something that there is not."""

    def __str__(self) -> str:
        return str(self.args[0])


def _value(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise UnknownName(name)
    return values[name]


def expand_template(text: str, values: Mapping[str, str], depth: int = 0) -> str:
    """Text with $name, ${name}, $(name), ${name?text}, ${name:text} and ${name?{text}:{text}} replaced.

    $$ is a dollar sign. Raises UnknownName.
    """
    out: list[str] = []
    position = 0
    while position < len(text):
        dollar = text.find("$", position)
        if dollar < 0 or dollar == len(text) - 1:
            out.append(text[position:])
            break
        out.append(text[position:dollar])
        following = text[dollar + 1]
        if following == "$":
            out.append("$")
            position = dollar + 2
        elif following in "{(":
            end = _closing(text, dollar + 1)
            out.append(_conditional(text[dollar + 2 : end], values, depth))
            position = end + 1
        else:
            match = _NAME.match(text, dollar + 1)
            out.append(_value(match[0], values) if match else "$")
            position = match.end() if match else dollar + 1
    return "".join(out)


def _closing(text: str, opening: int) -> int:
    """Where the bracket at opening is closed; the end of the text where it is not."""
    pair = {"{": "}", "(": ")"}[text[opening]]
    depth = 0
    for position in range(opening, len(text)):
        depth += (text[position] == text[opening]) - (text[position] == pair)
        if depth == 0:
            return position
    return len(text)


def _conditional(inside: str, values: Mapping[str, str], depth: int) -> str:
    match = _NAME.match(inside)
    if match is None or depth >= _MAX_DEPTH:
        return ""
    value, rest = _value(match[0], values), inside[match.end() :].lstrip()
    if not rest:
        return value
    operator, rest = rest[0], rest[1:].lstrip()
    if rest.startswith("{"):
        end = _closing(rest, 0)
        first, tail = rest[1:end].strip(), rest[end + 1 :].strip()
    else:
        first, tail = rest, ""
    second = tail[1:].strip().removeprefix("{").removesuffix("}").strip() if tail.startswith(":") else ""
    chosen = first if bool(value) == (operator == "?") else second
    return expand_template(chosen, values, depth + 1)
