"""amavisd's lookups: what lists of tables say of an address; the first table that knows it answers (README.lookups)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pcre2

from posthouse.errors import LookupFailed
from posthouse.filters.scanner.amavisd_conf import AmavisdConf, follow
from posthouse.filters.scanner.amavisd_names import DEFAULT_MAPS
from posthouse.filters.scanner.perl_values import NotSimple, Ref, Regex, RegexList, Value, is_text
from posthouse.lookup.pattern_rules import compile_bytes
from posthouse.lookup.rule_table import BadRule

_FLAGS = {"i": pcre2.IGNORECASE, "m": pcre2.MULTILINE, "s": pcre2.DOTALL, "x": pcre2.VERBOSE}


@dataclass(frozen=True, slots=True)
class Constant:
    """The same for everybody."""

    value: Value

    def find(self, address: str) -> Value:  # noqa: ARG002
        return self.value


@dataclass(frozen=True, slots=True)
class ByAddress:
    """A hash: the address itself, its parts, its domain, and the domains above it."""

    values: dict[str, Value]
    delimiter: str = ""

    def find(self, address: str) -> Value:
        for key in _keys(address.lower(), self.delimiter):
            if key in self.values:
                return self.values[key]
        return None


@dataclass(frozen=True, slots=True)
class AccessList:
    """A list of addresses and domains; "!" before one says no, "." before a domain is those below it, too."""

    words: tuple[str, ...]

    def find(self, address: str) -> Value:
        address = address.lower()
        domain = address.rpartition("@")[2]
        for word in self.words:
            name = word.removeprefix("!").lower()
            if "@" in name:
                matches = address == name
            elif name.startswith("."):
                matches = name == "." or domain == name[1:] or domain.endswith(name)
            else:
                matches = domain == name
            if matches:
                return 0.0 if word.startswith("!") else 1.0
        return None


@dataclass(frozen=True, slots=True)
class Patterns:
    """Regular expressions with a value each; they see the text as it is. Asking may raise LookupFailed."""

    rules: tuple[tuple[Any, Value], ...]

    def find(self, address: str) -> Value:
        return next((value for _, value in self.matching(address)), None)

    def matching(self, text: str) -> Iterator[tuple[int, Value]]:
        """The values of the rules that match, with their numbers. Raises LookupFailed for one that costs too much."""
        data = text.encode("utf-8", "surrogateescape")
        for number, (code, value) in enumerate(self.rules):
            try:
                matches = code.search(data) is not None
            except pcre2.LibraryError as error:
                raise LookupFailed("new_RE", f"rule {number + 1}: {error}") from error
            if matches:
                yield number, value


Table = Constant | ByAddress | AccessList | Patterns


@dataclass(frozen=True, slots=True)
class Lookup:
    """Tables in their order."""

    tables: tuple[Table, ...] = ()

    def find(self, address: str) -> Value:
        """What the first table says that knows the address; None (undef) where none does."""
        for table in self.tables:
            value = table.find(address)
            if value is not None:
                return value
        return None

    def holds(self, address: str) -> bool:
        """Whether it says something that is true in Perl."""
        return is_true(self.find(address))

    @property
    def holds_for_all(self) -> bool:
        """Whether it says yes to everybody, and nothing else to anybody."""
        return bool(self.tables) and isinstance(first := self.tables[0], Constant) and is_true(first.value)


def is_true(value: Value) -> bool:
    """As Perl sees it."""
    return bool(value) and value not in ("0", 0.0)


def compile_patterns(rules: RegexList) -> Patterns:
    """The rules of a new_RE, in PCRE2 with its limits. Raises NotSimple."""
    return Patterns(tuple((compile_regex(regex), value) for regex, value in rules.rules))


def compile_regex(regex: Regex) -> Any:
    """One regular expression. Raises NotSimple."""
    flags = 0
    for letter in regex.flags:
        flags |= int(_FLAGS.get(letter, 0))
    try:
        return compile_bytes(regex.pattern.encode("utf-8", "surrogateescape"), flags)
    except BadRule as bad:
        raise NotSimple(f"{regex.pattern}: {bad}") from bad


def lookup_of(conf: AmavisdConf, name: str) -> Lookup:
    """@name (a list of tables, or what it holds where it is not set). Raises NotSimple."""
    value = conf.values.get(f"@{name}")
    if value is None:
        value = tuple(Ref(word[0], word[1:]) for word in DEFAULT_MAPS.get(name, ()))
    if not isinstance(value, tuple):
        raise NotSimple(f"@{name} is no list")
    delimiter = conf.text("recipient_delimiter")
    return Lookup(tuple(_tables(value, conf, delimiter)))


def _tables(values: Iterable[Value], conf: AmavisdConf, delimiter: str) -> Iterator[Table]:
    for value in values:
        found = follow(value, conf)
        if isinstance(found, dict):
            yield ByAddress(found, delimiter)
        elif isinstance(found, tuple):
            yield AccessList(tuple(item for item in found if isinstance(item, str)))
        elif isinstance(found, RegexList):
            yield compile_patterns(found)
        elif is_text(found):
            yield Constant(found)


def _keys(address: str, delimiter: str) -> Iterator[str]:
    local, at, domain = address.rpartition("@")
    short = local.partition(delimiter)[0] if delimiter and delimiter in local else ""
    yield address
    if short:
        yield f"{short}@{domain}"
    if at:
        yield f"{local}@"
    if short:
        yield f"{short}@"
    yield domain
    while domain:
        yield f".{domain}"
        domain = domain.partition(".")[2]
    yield "."
