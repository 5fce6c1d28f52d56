"""$1, ${1}, $(1) and $$ in the results of regexp: and pcre: rules (regexp_table(5))."""

from __future__ import annotations

import re
from collections.abc import Callable

from posthouse.lookup import notices
from posthouse.lookup.rule_table import BadRule

_MACRO = re.compile(r"\$(?:(\$)|\{([^}]*)(\}|\Z)|\(([^)]*)(\)|\Z)|(\w*))")

_SKIPPED = "bad replacement syntax: skipping this rule"
_DIGITS_LIMIT = 6


def compile_template(text: str, *, negated: bool, say: Callable[[str], None]) -> str | list[str | int]:
    """The result as plain text, or as parts: text, and numbers of groups. BadRule for what cannot be filled in.

    say is told what comes before the reason why the rule is skipped.
    """
    if "$" not in text:
        return text
    parts: list[str | int] = []
    end = 0
    for macro in _MACRO.finditer(text):
        parts.append(text[end : macro.start()])
        end = macro.end()
        if macro[1]:
            parts.append("$")
            continue
        parts.append(_group(macro, text, negated, say))
    parts.append(text[end:])
    if all(isinstance(part, str) for part in parts):
        return "".join(map(str, parts))
    return [part for part in parts if part != ""]


def _group(macro: re.Match[str], text: str, negated: bool, say: Callable[[str], None]) -> int:
    if macro[3] == "" or macro[5] == "":
        notices.warn(f'truncated macro reference: "{text}"')
        raise BadRule(_SKIPPED)
    name = next((part for part in (macro[2], macro[4], macro[6]) if part is not None), "")
    if not name:
        notices.warn(f'empty macro name: "{text}"')
        raise BadRule(_SKIPPED)
    if not (name.isascii() and name.isdigit()):
        say(f'non-numeric replacement index "{name}"')
        raise BadRule(_SKIPPED)
    number = int(name) if len(name) < _DIGITS_LIMIT else 0
    if number < 1:
        say(f'out of range replacement index "{name}"')
        raise BadRule(_SKIPPED)
    if negated:
        raise BadRule("$number found in negative match replacement text: skipping this rule")
    return number


def check_range(parts: str | list[str | int], groups: int) -> None:
    """BadRule where a number is higher than the pattern has groups."""
    highest = 0 if isinstance(parts, str) else max(part for part in parts if isinstance(part, int))
    if highest > groups:
        raise BadRule(f'out of range replacement index "{highest}": skipping this rule')
