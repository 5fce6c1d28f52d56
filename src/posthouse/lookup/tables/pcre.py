"""pcre: tables: Perl-compatible regular expressions in order (pcre_table(5)); keys keep their case, and are bytes."""

from __future__ import annotations

from typing import Any

import pcre2

from posthouse.lookup.pattern_rules import Anchored, PatternParser, compile_bytes
from posthouse.lookup.rule_table import BadRule, RuleTable
from posthouse.lookup.table import Options

_DOLLAR_ENDONLY = 0x10  # PCRE2's own number: the library names few
_ANCHORED, _UNGREEDY = 1 << 40, 1 << 41  # ours
_TOGGLES = {
    "i": int(pcre2.IGNORECASE),
    "m": int(pcre2.MULTILINE),
    "s": int(pcre2.DOTALL),
    "x": int(pcre2.VERBOSE),
    "A": _ANCHORED,
    "E": _DOLLAR_ENDONLY,
    "U": _UNGREEDY,
    "X": 0,  # PCRE2 always refuses a backslash before a letter without meaning
}
_USUAL = _TOGGLES["i"] | _TOGGLES["s"]


def open_table(name: str, options: Options) -> RuleTable:
    """The table in the file of that name, or in braces."""

    def compile_pattern(pattern: str, letters: str) -> Any:
        flags = _USUAL
        for letter in letters:
            if letter not in _TOGGLES:
                raise BadRule(f'unknown regexp option "{letter}": skipping this rule')
            flags ^= _TOGGLES[letter]
        raw = pattern.encode("utf-8", "surrogateescape")
        code = compile_bytes(b"(?U)" + raw if flags & _UNGREEDY else raw, flags & ~(_ANCHORED | _UNGREEDY))
        return Anchored(code) if flags & _ANCHORED else code

    parser = PatternParser(options.spec, compile_pattern, "ignoring this rule")
    return RuleTable(name, options, parser.parse, "ignoring ENDIF without matching IF")
