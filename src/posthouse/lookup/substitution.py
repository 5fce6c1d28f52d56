"""$1, ${1}, $(1) and $$ in the results of regexp: and pcre: rules (regexp_table(5))."""

from __future__ import annotations

import re
from collections.abc import Callable

from posthouse.lookup.rule_table import BadRule

_MACRO = re.compile(r"\$(?:(\$)|\{([^}]*)(\}|\Z)|\(([^)]*)(\)|\Z)|(\w*))")

Template = Callable[[Callable[[int], str]], str]


def compile_template(text: str, *, groups: int, negated: bool) -> str | list[str | int]:
    """The result as plain text, or as parts: text, and numbers of groups. BadRule for what cannot be filled in."""
    parts: list[str | int] = []
    end = 0
    for macro in _MACRO.finditer(text):
        parts.append(text[end : macro.start()])
        end = macro.end()
        if macro[1]:
            parts.append("$")
            continue
        parts.append(_group(macro, groups, negated))
    parts.append(text[end:])
    if all(isinstance(part, str) for part in parts):
        return "".join(map(str, parts))
    return [part for part in parts if part != ""]


def _group(macro: re.Match[str], groups: int, negated: bool) -> int:
    if macro[3] == "" or macro[5] == "":
        raise BadRule("bad replacement syntax: skipping this rule")
    name = next((part for part in (macro[2], macro[4], macro[6]) if part is not None), "")
    if not name:
        raise BadRule("bad replacement syntax: skipping this rule")
    if not (name.isascii() and name.isdigit()):
        raise NotNumeric(name)
    if negated:
        raise BadRule("$number found in negative match replacement text: skipping this rule")
    number = int(name) if len(name) < 6 else 0
    if not 1 <= number <= groups:
        raise BadRule(f'out of range replacement index "{name}": skipping this rule')
    return number


class NotNumeric(BadRule):
    """$name, which no pattern has."""

    def __init__(self, name: str) -> None:
        super().__init__("bad replacement syntax: skipping this rule")
        self.name = name
