"""master.cf: the services of the house (master(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Final

from posthouse.config.main_cf import logical_lines
from posthouse.errors import ConfigError

TYPES: Final = ("inet", "unix", "fifo", "pass", "unix-dgram")
COLUMNS: Final = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")

_WAKEUP: Final = re.compile(r"\d+\??", re.ASCII)
_LIMIT: Final = re.compile(r"\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Service:
    """One service. type is inet, unix, fifo, pass or unix-dgram. wakeup is in seconds (0 never), wakeup_on_use the "?".

    maxproc 0 is without limit. command is the daemon's name ("smtpd"), args its words without -o; options the -o
    settings in order. private, unprivileged and chroot are as the columns say, defaults applied. line is 1-based.
    """

    name: str
    type: str
    private: bool
    unprivileged: bool
    chroot: bool
    wakeup: int
    wakeup_on_use: bool
    maxproc: int
    command: str
    args: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    file: str = ""
    line: int = 0


class ColumnError(ConfigError):
    """A line of master.cf whose columns make no sense. text is Postfix's, hint says what was expected."""

    def __init__(self, text: str, hint: str, *, file: str, line: int) -> None:
        super().__init__(text, file=file, line=line)
        self.hint = hint

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.hint})"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of master.cf in its columns, as written: eight fields, then the words ({...} in braces)."""

    fields: tuple[str, ...]
    words: tuple[str, ...]
    file: str
    line: int

    @property
    def name(self) -> str:
        return self.fields[0]

    @property
    def type(self) -> str:
        return self.fields[1]


def split_words(text: str) -> list[str]:
    """Words separated by white space; what stands between braces is kept together, {a b} and x{a b}
    are one word each. ValueError where a brace is not closed.
    """
    if "{" not in text:
        return text.split()
    words: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            return words
        end = _word_end(text, at)
        words.append(text[at:end])
        at = end


def _word_end(text: str, begin: int) -> int:
    depth = 0
    for at in range(begin, len(text)):
        letter = text[at]
        if letter.isspace() and depth == 0:
            return at
        if letter == "{":
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
    if depth and text[begin] == "{":
        raise ValueError(f"missing '}}' in \"{text[begin:]}\"")
    return len(text)


def check_columns(columns: list[str], line: str) -> str:
    """What is wrong with the eight columns of a line, in Postfix's words; "" for nothing."""
    _, kind, private, unprivileged, chroot, wakeup, limit = columns[:7]
    wrong = ""
    if kind not in TYPES:
        wrong = f'invalid type field "{kind}"'
    else:
        for name, value in (("private", private), ("unprivileged", unprivileged), ("chroot", chroot)):
            if value not in {"y", "n", "-"}:
                wrong = f'invalid {name} field "{value}"'
                break
        else:
            if wakeup != "-" and not _WAKEUP.fullmatch(wakeup):
                wrong = f'invalid wakeup field "{wakeup}"'
            elif limit != "-" and not _LIMIT.fullmatch(limit):
                wrong = f'invalid process_limit field "{limit}"'
    return f'{wrong} in "{line}"' if wrong else ""


def parse_entries(text: str, file: str) -> list[Entry]:
    """The lines of a master.cf. ConfigError for the first that is none, with what was expected."""
    entries = []
    for number, line in logical_lines(text):
        if line[0].isspace():
            raise ConfigError(f'logical line must not start with whitespace: "{line}"', file=file, line=number)
        line = " ".join(line.split())
        columns = line.split(None, 8)
        if len(columns) < 8:
            raise ColumnError("bad field count", _missing(columns), file=file, line=number)
        wrong = check_columns(columns, line)
        if wrong:
            raise ColumnError(wrong, _explained(columns), file=file, line=number)
        try:
            words = split_words(columns[8]) if len(columns) > 8 else []
        except ValueError as error:
            raise ConfigError(str(error), file=file, line=number) from None
        entries.append(Entry(tuple(columns[:8]), tuple(words), file, number))
    return entries


def _missing(columns: list[str]) -> str:
    return f"there are {len(columns)} of the 8 columns {' '.join(COLUMNS)}"


def _explained(columns: list[str]) -> str:
    """A hint where a dash is missing or two have grown together: the columns have slipped."""
    if any(set(column) == {"-"} and len(column) > 1 for column in columns[:7]):
        return f"is a space missing between two dashes? the columns are {' '.join(COLUMNS)}"
    return f"the columns are {' '.join(COLUMNS)}"


def options_of(entry: Entry) -> tuple[dict[str, str], tuple[str, ...]]:
    """The -o settings of a line, and its other words. ConfigError for an -o without a setting."""
    options: dict[str, str] = {}
    others: list[str] = []
    words = iter(entry.words)
    for word in words:
        if word == "-o":
            setting = next(words, None)
        elif word.startswith("-o"):
            setting = word[2:]
        else:
            others.append(word[1:-1].strip() if word.startswith("{") and word.endswith("}") else word)
            if entry.fields[7] in {"pipe", "spawn"} and word.startswith("argv="):
                others.extend(unbraced(rest) for rest in words)
            continue
        if setting is None:
            raise ConfigError("-o without a name=value", file=entry.file, line=entry.line)
        name, sign, value = unbraced(setting).partition("=")
        if not sign or not name.strip():
            raise ConfigError(f'-o {setting}: expected "name=value"', file=entry.file, line=entry.line)
        options[name.strip()] = value.strip() if setting.startswith("{") else value
    return options, tuple(others)


def unbraced(word: str) -> str:
    """The text within {...}, trimmed; another word as it is."""
    return word[1:-1].strip() if word.startswith("{") and word.endswith("}") else word


def service_of(entry: Entry, default_limit: int = 100) -> Service:
    """The service that a line describes, with the defaults for its dashes."""
    name, kind, private, unprivileged, chroot, wakeup, limit, command = entry.fields
    options, args = options_of(entry)
    seconds = 0 if wakeup == "-" else int(wakeup.rstrip("?"))
    return Service(
        name=name,
        type=kind,
        private=private == "y" or (private == "-" and kind != "inet"),
        unprivileged=unprivileged != "n",
        chroot=chroot == "y",
        wakeup=seconds,
        wakeup_on_use=wakeup.endswith("?"),
        maxproc=default_limit if limit == "-" else int(limit),
        command=command,
        args=args,
        options=options,
        file=entry.file,
        line=entry.line,
    )


def master_file(path: str) -> str:
    """The master.cf that a path means: itself, or the one in that directory."""
    return os.path.join(path, "master.cf") if os.path.isdir(path) else path


def read_entries(path: str) -> list[Entry]:
    """The lines of a master.cf (or of the one in a directory). ConfigError where it cannot be read."""
    file = master_file(path)
    try:
        with open(file, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            return parse_entries(stream.read(), file)
    except OSError as error:
        raise ConfigError(f"open {file}: {error.strerror}") from error


def read_master_cf(path: str, default_limit: int = 100) -> tuple[Service, ...]:
    """The services of a master.cf (or of the one in a directory), in their order.

    default_limit is default_process_limit, which stands for "-" in the column of the process limit. Of two lines with
    the same name and type the later one counts. ConfigError, with file and line, for a line that does not parse.
    """
    services: dict[tuple[str, str], Service] = {}
    for entry in read_entries(path):
        service = service_of(entry, default_limit)
        services[service.name, service.type] = service
    return tuple(services.values())
