"""The rules of regexp: and pcre: tables: /pattern/flags result, !/pattern/flags result, if and endif (pcre_table(5)).

Patterns are matched on bytes by PCRE2, with a limit on the work that one match may cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pcre2

from posthouse.errors import LookupFailed
from posthouse.lookup.rule_table import BadRule, Condition, EndIf, If, Rule, Statement
from posthouse.lookup.substitution import check_range, compile_template
from posthouse.lookup.text_map import SPACES

MATCH_LIMIT = 1_000_000  # steps within PCRE2 for one match, about 50 ms at most
_LIMIT = b"(*LIMIT_MATCH=%d)" % MATCH_LIMIT
Say = Callable[[str], None]
Compile = Callable[[str, str], Any]  # pattern, flags; BadRule where they are none


@dataclass(frozen=True, slots=True)
class _Text:
    """A rule in its parts."""

    negated: bool
    pattern: str
    flags: str
    rest: str


class PatternParser:
    """Parses the lines of one table. no_delimiter: what follows 'no closing regexp delimiter "/"'."""

    def __init__(self, spec: str, compile_pattern: Compile, skipping: str) -> None:
        self._spec, self._compile, self._skipping = spec, compile_pattern, skipping

    def parse(self, line: str, say: Say) -> Statement:
        """One statement. BadRule where it is none."""
        head = line[:6].lower()
        if head[:2] == "if" and not line[2:3].isalnum():
            text = self._split(line[2:].lstrip(SPACES))
            if text.rest:
                say(f'ignoring extra text after IF statement: "{text.rest}"')
                say("do not prepend whitespace to statements between IF and ENDIF")
            return If(self._condition(self._compile(text.pattern, text.flags), negated=text.negated))
        if head[:5] == "endif" and not line[5:6].isalnum():
            if line[5:].strip():
                say("ignoring extra text after ENDIF")
            return EndIf()
        if line[0].isalnum() or line[0] in SPACES:
            raise BadRule("ignoring unrecognized request")
        text = self._split(line)
        if not text.rest:
            say("no replacement text: using empty string")
        return self._rule(text, say)

    def _split(self, text: str) -> _Text:
        negated = False
        while text.startswith("!"):
            negated, text = not negated, text[1:].lstrip()
        if not text:
            raise BadRule("no regexp: skipping this rule")
        end = _delimiter_end(text, text[0])
        if end < 0:
            raise BadRule(f'no closing regexp delimiter "{text[0]}": {self._skipping}')
        stop = end + 1
        while stop < len(text) and text[stop] not in SPACES and text[stop] != "!":
            stop += 1
        return _Text(negated, text[1:end], text[end + 1 : stop], text[stop:].strip(SPACES))

    def _rule(self, text: _Text, say: Say) -> Rule:
        result = compile_template(text.rest, negated=text.negated, say=say)
        code = self._compile(text.pattern, text.flags)
        check_range(result, code.groups)
        if isinstance(result, str):
            condition = self._condition(code, negated=text.negated)
            return lambda key: result if condition(key) else None
        search, spec, parts = _searching(code), self._spec, result

        def rule(key: str) -> str | None:
            found = search(key, spec)
            if found is None:
                return None
            groups = found.groups(b"")
            return "".join(
                part if isinstance(part, str) else groups[part - 1].decode("utf-8", "surrogateescape") for part in parts
            )

        return rule

    def _condition(self, code: Any, *, negated: bool) -> Condition:
        search, spec = _searching(code), self._spec
        if negated:
            return lambda key: search(key, spec) is None
        return lambda key: search(key, spec) is not None


def _searching(code: Any) -> Callable[[str, str], Any]:
    find = code.search

    def search(key: str, spec: str) -> Any:
        try:
            return find(key.encode("utf-8", "surrogateescape"))
        except pcre2.LibraryError as problem:
            # Differs from Postfix: a match that was given up is no "not found", which could let a message through.
            raise LookupFailed(spec, f"matching was given up: {problem}") from None

    return search


def _delimiter_end(text: str, delimiter: str) -> int:
    position = 1
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == delimiter:
            return position
        position += 1
    return -1


class Anchored:
    """A pattern that matches at the start of the key only."""

    def __init__(self, code: Any) -> None:
        self.groups: int = code.groups
        self.search = code.match


def compile_bytes(pattern: bytes, flags: int) -> Any:
    """A compiled pattern. BadRule where it is none."""
    try:
        return pcre2.compile(_LIMIT + pattern, flags, jit=False)
    except pcre2.PatternError as problem:
        place, _, reason = str(problem).removeprefix("compilation failed at position ").partition("; ")
        offset = max(int(place) - len(_LIMIT), 0) if place.isdigit() else 0
        raise BadRule(f"error in regex at offset {offset}: {reason or problem}") from None
