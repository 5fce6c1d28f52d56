"""The simple assignments of an amavisd.conf: scalars with interpolation, lists, D_ constants (amavisd.conf-default).

The file is Perl; what in it is more than an assignment is named with its line, and not guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"\s*([$@%])(\w+)\s*=\s*(.*?)\s*;\s*(?:#.*)?\Z", re.DOTALL)
_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_NUMBER = re.compile(r"-?\d[\d_]*(?:\.\d+)?(?:\s*\*\s*\d[\d_]*)*\Z")
_CONSTANT = re.compile(r"D_(?:PASS|DISCARD|REJECT|BOUNCE)\Z")
_NAME = re.compile(r"\$(?:\{(\w+)\}|(\w+))|\\(.)")
_WORDS = re.compile(r"qw\s*\(([^)]*)\)\Z|qw\s*\[([^]]*)\]\Z", re.DOTALL)
_IGNORED = re.compile(r"\s*(?:#.*|use\s+strict\s*;.*|1\s*;.*|__END__.*)?\Z")

Value = str | float | tuple[str, ...] | None


class NotSimple(ValueError):
    """Perl beyond an assignment of constants."""


@dataclass(slots=True)
class AmavisdConf:
    """values by name without sigil; beyond are (line, text) of statements that were not understood."""

    values: dict[str, Value] = field(default_factory=dict)
    beyond: list[tuple[int, str]] = field(default_factory=list)

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        return default if value is None or isinstance(value, tuple) else _plain(value)

    def number(self, name: str, default: float) -> float:
        """A number, also where it was written as text."""
        value = self.values.get(name)
        try:
            return float(value) if isinstance(value, (str, float)) and value != "" else default
        except ValueError:
            return default

    def list(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name)
        return value if isinstance(value, tuple) else ()


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def parse(text: str) -> AmavisdConf:
    """Read a whole file."""
    conf = AmavisdConf()
    for number, statement in _statements(text):
        try:
            _assign(statement, conf)
        except NotSimple:
            conf.beyond.append((number, " ".join(statement.split())[:100]))
    return conf


def _assign(statement: str, conf: AmavisdConf) -> None:
    found = _ASSIGNMENT.match(statement)
    if found is None:
        raise NotSimple(statement)
    sigil, name, expression = found.groups()
    conf.values[name] = _list(expression, conf) if sigil == "@" else _scalar(expression, conf, sigil)


def _statements(text: str) -> list[tuple[int, str]]:
    """Statements with the line on which each begins; comments and empty lines are gone."""
    found: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = _without_comment(raw)
        if line.strip() == "__END__":
            break
        if not pending and _IGNORED.match(line):
            continue
        start = start if pending else number
        pending += line + "\n"
        if line.rstrip().endswith(";"):
            found.append((start, pending.strip()))
            pending = ""
    if pending.strip():
        found.append((start, pending.strip()))
    return found


def _without_comment(line: str) -> str:
    quote, escaped = "", False
    for at, char in enumerate(line):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and (at == 0 or line[at - 1].isspace() or line[at - 1] == ";"):
            return line[:at].rstrip()
    return line


def _scalar(expression: str, conf: AmavisdConf, sigil: str = "$") -> Value:
    if sigil == "%":
        raise NotSimple(expression)
    if expression == "undef":
        return None
    if _CONSTANT.match(expression):
        return expression
    if _NUMBER.match(expression):
        product = 1.0
        for factor in expression.replace("_", "").split("*"):
            product *= float(factor)
        return product
    string = _STRING.fullmatch(expression)
    if string is not None:
        return string[1].replace("\\'", "'") if string[1] is not None else _interpolated(string[2], conf)
    variable = re.fullmatch(r"\$(\w+)", expression)
    if variable and variable[1] in conf.values:
        return conf.values[variable[1]]
    raise NotSimple(expression)


def _interpolated(text: str, conf: AmavisdConf) -> str:
    def value(match: re.Match[str]) -> str:
        if match[3] is not None:
            return {"n": "\n", "t": "\t"}.get(match[3], match[3])
        name = match[1] or match[2]
        if name not in conf.values:
            raise NotSimple(text)
        return conf.text(name)

    return _NAME.sub(value, text)


def _list(expression: str, conf: AmavisdConf) -> tuple[str, ...]:
    words = _WORDS.match(expression)
    if words is not None:
        return tuple((words[1] or words[2] or "").split())
    if not (expression.startswith("(") and expression.endswith(")")):
        raise NotSimple(expression)
    inner = expression[1:-1].strip().rstrip(",")
    if not inner:
        return ()
    items = []
    for item in re.split(r",\s*", inner):
        value = _scalar(item.strip(), conf)
        if isinstance(value, tuple):
            items += list(value)
        else:
            items.append("" if value is None else _plain(value))
    return tuple(items)
