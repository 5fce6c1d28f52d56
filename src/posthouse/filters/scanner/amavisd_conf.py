"""An amavisd.conf, or the files of a conf.d in their order: assignments of constants are read, all else is named with
its file and line, and not guessed at (amavisd.conf-default).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from posthouse.filters.scanner import amavisd_names
from posthouse.filters.scanner.perl_tokens import Token, Unfinished, What, tokens
from posthouse.filters.scanner.perl_values import Known, NotSimple, Ref, Value, evaluate, is_text, plain

_CONF_D_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")  # as run-parts(8): neither backups nor files of the package manager
_BLOCKS = frozenset(("if", "unless", "for", "foreach", "while", "sub", "BEGIN", "package"))
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")
_DEFAULTS = {"$MYHOME": "/var/lib/amavis", "$TEMPBASE": "/var/lib/amavis", "$helpers_home": "/var/lib/amavis"}
MAX_SHOWN = 200
_CLAMD_COMMAND = re.compile(r"(CONTSCAN|SCAN|MULTISCAN|n?INSTREAM)\b")


class Machine(Protocol):
    """What the few commands answer that amavisd.conf usually runs."""

    @property
    def hostname(self) -> str: ...

    @property
    def domain(self) -> str: ...

    def read(self, path: str) -> str:
        """The text of a file. Raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Beyond:
    """A statement without effect, and why."""

    file: str
    line: int
    why: str

    @property
    def text(self) -> str:
        """For the log."""
        return f"{self.file}, line {self.line}: {self.why}"


@dataclass(slots=True)
class AmavisdConf:
    """values by name with sigil ("$mydomain"). clamd are the sockets that @av_scanners (has_scanners) names."""

    values: dict[str, Value] = field(default_factory=dict)
    beyond: list[Beyond] = field(default_factory=list)
    clamd: list[str] = field(default_factory=list)
    has_scanners: bool = False

    def text(self, name: str, default: str = "") -> str:
        """A scalar; undef is ""."""
        name = f"${name}"
        if name not in self.values:
            return default
        value = self.values[name]
        return plain(value) if value is None or is_text(value) else default

    def number(self, name: str, default: float | None) -> float | None:
        """A number, also where it was written as text; undef is None."""
        name = f"${name}"
        if name not in self.values:
            return default
        value = self.values[name]
        try:
            return float(value) if is_text(value) else None
        except ValueError:
            return default

    def is_set(self, name: str) -> bool:
        """Name is with its sigil."""
        return name in self.values

    def list(self, name: str) -> tuple[str, ...]:
        """The scalars of a list."""
        value = self.values.get(f"@{name}")
        return tuple(plain(item) for item in value if is_text(item)) if isinstance(value, tuple) else ()


def files_of(paths: Sequence[str]) -> list[str]:
    """The files that the words of posthouse_scan_amavisd_conf stand for. Raises OSError."""
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            found += [os.path.join(path, name) for name in sorted(os.listdir(path)) if _CONF_D_NAME.match(name)]
        else:
            found.append(path)
    return found


def parse(text: str, file: str, conf: AmavisdConf, machine: Machine) -> None:
    """Read one file on top of what is known."""
    _Reader(file, conf, machine).read(text)


class _Reader:
    def __init__(self, file: str, conf: AmavisdConf, machine: Machine) -> None:
        self._file, self._conf, self._machine = file, conf, machine
        self._known = Known(self._variable, self._run, machine.read)

    def read(self, text: str) -> None:
        try:
            for statement in _statements(tokens(text)):
                try:
                    self._statement(statement)
                except NotSimple as why:
                    self._note(statement[0].line, f"not understood, has no effect: {_shown(statement)} ({why})")
        except Unfinished as unfinished:
            self._note(unfinished.line, "something begins here and does not end; the rest of the file is not read")

    def _note(self, line: int, why: str) -> None:
        self._conf.beyond.append(Beyond(self._file, line, why))

    def _variable(self, name: str) -> Value:
        if name == "$myproduct_name":
            return "Posthouse"
        if name not in self._conf.values and name in _DEFAULTS:
            return _DEFAULTS[name]
        if name not in self._conf.values and name in ("$myhostname", "$mydomain"):
            return self._machine.hostname if name == "$myhostname" else self._machine.domain
        return self._conf.values[name]

    def _run(self, command: str) -> str:
        if found := re.fullmatch(r"(?:head -n ?1|cat) (/\S+)", command.strip()):
            try:
                return self._machine.read(found[1]).partition("\n")[0].strip()
            except OSError:
                return self._machine.domain if found[1] == "/etc/mailname" else ""
        return self._machine.hostname if re.fullmatch(r"hostname( -f| --fqdn)?", command.strip()) else ""

    # -- statements

    def _statement(self, words: list[Token]) -> None:
        first = words[0]
        if first.what is What.NAME:
            self._call(words)
            return
        if first.what is What.NUMBER and len(words) == 1:
            return
        if first.what is not What.VARIABLE:
            raise NotSimple(first.text)
        name = first.text
        if name.startswith("@av_scanners"):
            self._scanners(words)
            return
        if len(words) > 3 and words[1].text == "{" and words[3].text == "}":
            self._element(name[1:], words)
            return
        if len(words) < 3 or words[1].text != "=":
            raise NotSimple(words[1].text if len(words) > 1 else name)
        self._assign(name, words[2:])

    def _assign(self, name: str, words: list[Token]) -> Value:
        if len(words) > 2 and words[0].what is What.VARIABLE and words[1].text == "=":
            value = self._assign(words[0].text, words[2:])
        elif amavisd_names.is_harmless(name):
            return None
        else:
            value = self._value(name[0], words)
        self._conf.values[name] = value
        if not amavisd_names.has_effect(name):
            self._note(words[0].line, f"{name} has no effect here")
        return value

    def _value(self, sigil: str, words: list[Token]) -> Value:
        if sigil == "@":
            return evaluate(words, self._known, as_list=True)
        if sigil == "%":
            items = evaluate(words, self._known, as_list=True)
            assert isinstance(items, tuple)
            if len(items) % 2:
                raise NotSimple("a hash with an odd number of values")
            return {plain(key): item for key, item in zip(items[::2], items[1::2], strict=True)}
        return evaluate(words, self._known)

    def _element(self, name: str, words: list[Token]) -> None:
        """$name{key} = value."""
        if len(words) > 5 and words[4].text == "=" and amavisd_names.is_harmless(f"%{name}"):
            if words[5].what is What.VARIABLE and len(words) > 7 and words[6].text == "=":
                self._assign(words[5].text, words[7:])
            return
        if len(words) < 6 or words[4].text != "=":
            raise NotSimple(words[4].text if len(words) > 4 else name)
        table = self._conf.values.setdefault(f"%{name}", {})
        if isinstance(table, dict):
            table[words[2].text] = evaluate(words[5:], self._known)
        if not amavisd_names.has_effect(f"%{name}"):
            self._note(words[0].line, f"%{name} has no effect here")

    def _call(self, words: list[Token]) -> None:
        name, rest = words[0].text, words[1:]
        if name in ("use", "no", "undef") or (name in amavisd_names.HARMLESS_CALLS):
            return
        if name in ("my", "our", "local") and rest:
            self._statement(rest)
            return
        if name == "chomp" and len(rest) > 2 and rest[0].text == "(" and rest[-1].text == ")":
            self._statement(rest[1:-1])
            return
        if name in ("read_hash", "read_array") and len(rest) > 4 and rest[1].text == "\\":
            target = rest[2].text
            value = evaluate([words[0], rest[0], *rest[4:]], self._known)
            self._conf.values[target] = value
            return
        if name == "push" and len(rest) > 4 and rest[0].text == "(" and rest[1].what is What.VARIABLE:
            old = self._conf.values.get(rest[1].text, ())
            more = evaluate(rest[3:-1], self._known, as_list=True)
            if isinstance(old, tuple) and isinstance(more, tuple):
                self._conf.values[rest[1].text] = (*old, *more)
                return
        raise NotSimple(name)

    def _scanners(self, words: list[Token]) -> None:
        """@av_scanners: of its entries, those that ask clamd."""
        others: list[str] = []
        for entry in _entries(words):
            texts = [word.text for word in entry if word.what in (What.SINGLE, What.DOUBLE)]
            name = texts[0] if texts else "?"
            if (
                any(re.match(r"(CONTSCAN|SCAN|INSTREAM|nINSTREAM)\b", text) for text in texts)
                and "clam" in name.lower()
            ):
                self._conf.clamd += [address for text in texts[2:3] if (address := _address(text))]
            else:
                others.append(name)
        self._conf.has_scanners |= words[0].text == "@av_scanners"
        if others:
            self._note(words[0].line, f"{words[0].text}: only clamd is asked, not {', '.join(others)}"[:MAX_SHOWN])


def _address(text: str) -> str:
    return f"unix:{text}" if text.startswith("/") else f"inet:{text}" if ":" in text else ""


def _entries(words: list[Token]) -> Iterator[list[Token]]:
    """What stands in the brackets of the first level."""
    depth, entry = 0, list[Token]()
    for word in words:
        if word.what is What.SIGN and word.text in _CLOSE:
            depth -= 1
            if depth == 1 and entry:
                yield entry
                entry = []
        if depth > 1:
            entry.append(word)
        if word.what is What.SIGN and word.text in _OPEN:
            depth += 1


def _statements(words: Iterator[Token]) -> Iterator[list[Token]]:
    """The words of each statement, without its semicolon; a block ends with its brace."""
    statement: list[Token] = []
    depth = 0
    for word in words:
        is_sign = word.what is What.SIGN
        if is_sign and word.text == ";" and depth == 0:
            if statement:
                yield statement
            statement = []
            continue
        statement.append(word)
        if is_sign and word.text in _OPEN:
            depth += 1
        elif is_sign and word.text in _CLOSE:
            depth = max(0, depth - 1)
            if depth == 0 and word.text == "}" and statement[0].text in _BLOCKS:
                yield statement
                statement = []
    if statement:
        yield statement


def _shown(words: list[Token]) -> str:
    text = " ".join(word.text for word in words[:40])
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def follow(value: Value, conf: AmavisdConf) -> Value:
    """What a reference leads to; undef where it leads nowhere."""
    for _ in range(10):
        if not isinstance(value, Ref):
            return value
        value = conf.values.get(f"{value.sigil}{value.name}")
    return None
