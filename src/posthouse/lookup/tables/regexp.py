"""regexp: tables: POSIX regular expressions in order (regexp_table(5)); keys keep their case."""

from __future__ import annotations

from typing import Any

import pcre2

from posthouse.lookup.pattern_rules import PatternParser, compile_bytes
from posthouse.lookup.posix_regex import BadPattern, translate
from posthouse.lookup.rule_table import BadRule, RuleTable
from posthouse.lookup.table import Options

_DOLLAR_ENDONLY = 0x10  # PCRE2's own number: the library has no name for it


def open_table(name: str, options: Options) -> RuleTable:
    """The table in the file of that name, or in braces."""
    parser = PatternParser(options.spec, compile_pattern, "skipping this rule")
    return RuleTable(name, options, parser.parse, "ignoring ENDIF without matching IF")


def compile_pattern(pattern: str, letters: str) -> Any:
    """A pattern, with the letters that follow it. BadRule where it is none."""
    toggled = {"i": True, "m": False, "x": True}
    for letter in letters:
        if letter not in toggled:
            raise BadRule(f'unknown regexp option "{letter}": skipping this rule')
        toggled[letter] = not toggled[letter]
    # Bytes, one by one, are what the C library sees in the C locale.
    text = pattern.encode("utf-8", "surrogateescape").decode("latin-1")
    try:
        words = translate(text, extended=toggled["x"], multiline=toggled["m"])
    except BadPattern as problem:
        raise BadRule(str(problem)) from None
    flags = _DOLLAR_ENDONLY | int(pcre2.DOTALL) | (int(pcre2.IGNORECASE) if toggled["i"] else 0)
    return compile_bytes(words.encode("latin-1"), flags)
