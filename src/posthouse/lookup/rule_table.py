"""Tables of rules, tried in order, from a file or in braces: cidr, regexp and pcre (cidr_table(5), pcre_table(5)).

Each type says what a rule's pattern is; if and endif, files, their changes and the warnings are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from posthouse.errors import LookupFailed
from posthouse.lookup import notices
from posthouse.lookup.braces import closing_brace, split_items
from posthouse.lookup.freshness import Watch
from posthouse.lookup.table import BadTable, Options, Table, TableUnavailable, is_utf8
from posthouse.lookup.text_map import LINE_LIMIT, LogicalLine, decode, logical_lines, printable

FILE_LIMIT = 64 << 20  # bytes
NESTING_LIMIT = 100  # if within if

Rule = Callable[[str], "str | None"]  # the value for a key, or None to go on with the next rule
Condition = Callable[[str], bool]


class BadRule(ValueError):
    """A rule that is left out; str() says why, as it is logged after "regexp map x, line 3: "."""


@dataclass(frozen=True, slots=True)
class If:
    """Opens a block that is skipped where the key does not meet the condition."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class EndIf:
    """Closes the block that was opened last."""


Statement = Rule | If | EndIf
Parse = Callable[[str, Callable[[str], None]], Statement]  # a line, and where to say what is odd about it


class Rules:
    """Statements in order, with the places where blocks end."""

    __slots__ = ("_statements",)

    def __init__(self, statements: Iterable[Statement]) -> None:
        ends: list[tuple[Rule | None, Condition | None, int]] = []
        opened: list[int] = []
        for statement in statements:
            if isinstance(statement, If):
                opened.append(len(ends))
                ends.append((None, statement.condition, 0))
            elif isinstance(statement, EndIf):
                start = opened.pop()
                ends[start] = (None, ends[start][1], len(ends))
            else:
                ends.append((statement, None, 0))
        for start in opened:
            ends[start] = (None, ends[start][1], len(ends))
        self._statements = ends

    def first(self, key: str) -> str | None:
        """The first rule's answer."""
        statements = self._statements
        position, end = 0, len(statements)
        while position < end:
            rule, condition, after = statements[position]
            position += 1
            if rule is not None:
                value = rule(key)
                if value is not None:
                    return value
            elif condition is not None and not condition(key):
                position = after
        return None


def read_rules(lines: Iterable[LogicalLine], parse: Parse, title: str, unmatched: str) -> Rules:
    """Parse all lines; what is wrong with one is logged, and it is left out. unmatched: said of an endif too many."""
    statements: list[Statement] = []
    opened: list[int] = []
    for line in lines:

        def say(text: str, number: int = line.number) -> None:
            notices.warn(f"{title}, line {number}: {text}")

        if len(line.text) > LINE_LIMIT:
            say(f"line of {len(line.text)} characters is too long: skipping this rule")
            continue
        try:
            statement = parse(line.text, say)
        except BadRule as problem:
            say(str(problem))
            continue
        if isinstance(statement, If):
            opened.append(line.number)
        elif isinstance(statement, EndIf):
            if not opened:
                say(unmatched)
                continue
            opened.pop()
        statements.append(statement)
        if len(opened) > NESTING_LIMIT:
            raise BadTable(f"{title}, line {line.number}: IF is nested too deeply")
    for number in reversed(opened):
        notices.warn(f"{title}, line {number}: IF has no matching ENDIF")
    return Rules(statements)


class RuleTable(Table):
    """A table of rules. kind is its name in warnings ("regexp map")."""

    folding = False
    has_patterns = True

    def __init__(self, name: str, options: Options, parse: Parse, unmatched: str) -> None:
        super().__init__(options)
        self._name, self._parse, self._unmatched = name, parse, unmatched
        self._title = f"{options.spec.partition(':')[0]} map {name}"
        self._failure = ""
        self._rules = Rules(())
        self._watch: Watch | None = None
        if name.startswith("{"):
            self._rules = self._read(self._inline_lines())
        else:
            self._watch = Watch(name)
            self._refresh()

    def lookup(self, key: str) -> str | None:
        if self._watch is not None and self._watch.changed():
            self._read_file()
        if self._failure:
            raise TableUnavailable(self.spec, self._failure)
        value = self._rules.first(key)
        if value is not None and self._utf8 and not value.isascii() and not is_utf8(value):
            raise LookupFailed(self.spec, f'key "{printable(key)}": non-UTF-8 value "{printable(value)}"')
        return value

    @property
    def unavailable(self) -> str:
        self._refresh()
        return self._failure

    def _refresh(self) -> None:
        if self._watch is not None and self._watch.changed():
            self._read_file()

    def _read_file(self) -> None:
        try:
            with open(self._name, "rb") as file:
                content = file.read(FILE_LIMIT)
            self._rules, self._failure = self._read(list(logical_lines(decode(content)))), ""
        except (OSError, BadTable) as error:
            failure = f"open {self._name}: {error.strerror}" if isinstance(error, OSError) else error.text
            if failure != self._failure:
                notices.complain(failure)
            self._failure = failure

    def _read(self, lines: Iterable[LogicalLine]) -> Rules:
        return read_rules(lines, self._parse, self._title, self._unmatched)

    def _inline_lines(self) -> list[LogicalLine]:
        kind = self.spec.partition(":")[0]
        end = closing_brace(self._name)
        if end < 0:
            raise BadTable(f"{kind} map: missing '}}' in \"{self._name}\"")
        if self._name[end + 1 :].strip():
            raise BadTable(f"{kind} map: syntax error after '}}' in \"{self._name}\"")
        lines: list[LogicalLine] = []
        for number, item in enumerate(split_items(self._name[1:end]), 1):
            if not item.startswith("{"):
                raise BadTable(f"{kind} map: no '{{' at start of text in \"{self._name[1:end].strip()}\"")
            inner = closing_brace(item)
            if inner < 0:
                raise BadTable(f"{kind} map: missing '}}' in \"{item}\"")
            if item[inner + 1 :].strip():
                raise BadTable(f"{kind} map: syntax error after '}}' in \"{item}\"")
            lines.append(LogicalLine(number, item[1:inner].strip()))
        return lines
