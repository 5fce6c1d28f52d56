"""What tables of SQL have in common: a .cf file, %s %u %d in queries, results put together (sqlite_table(5))."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from posthouse.errors import LookupFailed
from posthouse.lookup import notices
from posthouse.lookup.text_map import decode, logical_lines

if TYPE_CHECKING:
    from posthouse.config.settings import Settings

_MACRO = re.compile(r"%(.)?", re.DOTALL)
Quote = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Template:
    """A text with %s, %u, %d, %1 to %9 and their capitals."""

    text: str

    def fill(self, value: str, quote: Quote, key: str | None = None) -> str | None:
        """The text for a value. None: it asks for a part that the value does not have.

        key: what capital letters and %1 to %9 speak of, where that is not value itself (result_format).
        """
        asked = value if key is None else key
        parts: list[str] = []
        end = 0
        for macro in _MACRO.finditer(self.text):
            parts.append(self.text[end : macro.start()])
            end = macro.end()
            letter = macro[1] or ""
            if letter == "%":
                parts.append("%")
                continue
            part = _part(letter.lower(), value if letter.islower() else asked)
            if part is None:
                return None
            parts.append(quote(part))
        parts.append(self.text[end:])
        return "".join(parts)


def _part(letter: str, text: str) -> str | None:
    local, at, domain = text.rpartition("@")
    match letter:
        case "s":
            return text
        case "u":
            return local if at else text
        case "d":
            return domain if at else None
    if letter.isdigit() and letter != "0" and at:
        labels = domain.split(".")
        return labels[-int(letter)] if int(letter) <= len(labels) else None
    return None


@dataclass(frozen=True, slots=True)
class QuerySource:
    """A .cf file. domains () is no restriction; expansion_limit 0 is none. prefix stands before names in main.cf."""

    path: str
    prefix: str
    settings: dict[str, str]
    query: Template
    result_format: Template
    domains: tuple[str, ...]
    expansion_limit: int


_NAMES = ("query", "result_format", "domain", "expansion_limit", "table", "select_field", "where_field",
          "additional_conditions")  # fmt: skip


def read_source(path: str, settings: Settings, names: tuple[str, ...]) -> QuerySource:
    """The description in a file; a name without "/" stands for main.cf's parameters of that name. Raises OSError."""
    wanted = (*_NAMES, *names)
    found: dict[str, str] = {}
    prefix = ""
    if "/" in path or path.startswith("."):
        with open(path, "rb") as file:
            text = decode(file.read(1 << 20))
        for line in logical_lines(text):
            name, equals, value = line.text.partition("=")
            if equals:
                found[name.strip()] = value.strip()
            else:
                notices.warn(f"{path}, line {line.number}: missing '=' after attribute name: \"{line.text[:60]}\"")
    else:
        prefix = f"{path}_"
        found = {name: settings.text(prefix + name) for name in wanted if settings.knows(prefix + name)}
    limit = found.get("expansion_limit", "0")
    return QuerySource(
        path, prefix, found, Template(found.get("query") or _built_query(found)),
        Template(found.get("result_format") or "%s"), tuple(found.get("domain", "").replace(",", " ").lower().split()),
        int(limit) if limit.isdigit() and len(limit) < 10 else 0,
    )  # fmt: skip


def _built_query(found: dict[str, str]) -> str:
    """The query that the old table, select_field, where_field and additional_conditions stand for."""
    query = f"SELECT {found.get('select_field', '')} FROM {found.get('table', '')}"  # noqa: S608 - the administrator's words
    return f"{query} WHERE {found.get('where_field', '')} = '%s' {found.get('additional_conditions', '')}"


def is_wanted(domains: tuple[str, ...], key: str) -> bool:
    """Whether the table is to be asked for the key: with domain set, only user@ in one of the domains."""
    if not domains:
        return True
    local, at, domain = key.rpartition("@")
    return bool(at and local) and domain.lower() in domains


def join_results(spec: str, source: QuerySource, key: str, values: Iterable[object]) -> str | None:
    """The values in result_format, joined by commas; None where there are none. LookupFailed above expansion_limit."""
    results: list[str] = []
    for value in values:
        if value is None or value == "":
            continue
        text = source.result_format.fill(str(value), str, key)
        if text is None:
            continue
        results.append(text)
        if source.expansion_limit and len(results) > source.expansion_limit:
            said = f"dict_sqlite_lookup: {source.path}: Expansion limit exceeded for key '{key}'"
            notices.warn(said)
            raise LookupFailed(spec, said)
    return ",".join(results) or None
