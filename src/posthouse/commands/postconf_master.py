"""postconf -M, -F and -P: the services of master.cf, their columns and their -o settings (postconf(1), master(5))."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.commands.postconf import Request, UsageError, warn
from posthouse.commands.postconf_show import (
    INDENT,
    LINE_LIMIT,
    Configuration,
    print_setting,
    read,
    warn_unused_overrides,
)
from posthouse.config.known import RUNS_COMMANDS, overrides_of
from posthouse.config.master_cf import COLUMNS, Entry, unbraced
from posthouse.config.settings import Settings

_BEGINS = (0, 11, 17, 25, 33, 41, 49, 57)


def matches(pattern: str, name: str) -> bool:
    """Whether a part of a request means this name."""
    return pattern in {"*", name}


def split_request(text: str, parts: int) -> list[str]:
    """The parts of service/type/field, as many as there are; a service may have slashes in it."""
    pieces = text.split("/")
    if len(pieces) > parts:
        head = len(pieces) - parts + 1
        pieces = ["/".join(pieces[:head]), *pieces[head:]]
    return pieces


@dataclass(slots=True)
class Wanted:
    """One request: service, type and field or name; "*" is any."""

    text: str
    name: str
    type: str
    field: str
    found: bool = False

    def wants(self, entry: Entry, field: str = "") -> bool:
        """Whether this service, and this field of it, is asked for."""
        if not matches(self.name, entry.name) or not matches(self.type, entry.type):
            return False
        if field and not matches(self.field, field):
            return False
        self.found = True
        return True


def arguments_of(entry: Entry, settings: Settings | None = None) -> list[str]:
    """What follows the command's name, one piece for each line of -f: "-o name=value" is one."""
    pieces: list[str] = []
    words = iter(entry.words)
    within_options = True
    for word in words:
        within_options = within_options and word.startswith("-") and word != "--"
        if within_options and word == "-o":
            setting = next(words, None)
            pieces.append("-o" if setting is None else f"-o {_override(setting, settings)}")
        else:
            pieces.append(_argument(word, entry.fields[7]))
    return pieces


def _override(setting: str, settings: Settings | None) -> str:
    name, sign, value = unbraced(setting).partition("=")
    if setting.startswith("{"):
        name, value = name.strip(), value.strip()
    if settings is not None:
        value = settings.expanded(value)
    text = f"{name}{sign}{value}"
    return f"{{{text}}}" if any(letter.isspace() for letter in text) else text


def _argument(word: str, daemon: str) -> str:
    if not (word.startswith("{") and word.endswith("}")):
        return word
    inner = unbraced(word)
    return f"{{{inner}}}" if daemon in RUNS_COMMANDS and any(letter.isspace() for letter in inner) else inner


def entry_text(entry: Entry, *, fold: bool = False, settings: Settings | None = None) -> str:
    """A service in its columns; with fold, long lines and -o settings are continued on lines of their own."""
    line = ""
    for field, begin in zip(entry.fields, _BEGINS, strict=True):
        line = line.ljust(begin) if len(line) < begin else (line + " " if line else line)
        line += field
    return line + _arguments_text(entry, len(line), fold=fold, settings=settings)


def _arguments_text(entry: Entry, length: int, *, fold: bool, settings: Settings | None = None) -> str:
    pieces = arguments_of(entry, settings)
    if not fold:
        return "".join(f" {piece}" for piece in pieces)
    text = ""
    options = True
    after_option = False
    for piece in pieces:
        options = options and piece.startswith("-") and piece != "--"
        own_line = options or after_option
        after_option = options
        if length > len(INDENT) and (own_line or length + 1 + len(piece) >= LINE_LIMIT):
            text += f"\n{INDENT}{piece}"
            length = len(INDENT) + len(piece)
        else:
            text += f" {piece}"
            length += 1 + len(piece)
    return text


def show(request: Request) -> int:
    """Postconf -M, -F or -P [request...]."""
    configuration = read(request)
    if "M" in request.flags:
        _show_entries(request, configuration)
    elif "F" in request.flags:
        _show_fields(request, configuration)
    else:
        _show_overrides(request, configuration)
    sys.stdout.flush()
    warn_unused_overrides(configuration)
    return 0


def view(configuration: Configuration, entry: Entry) -> Settings:
    """The configuration as a service sees it."""
    return configuration.settings.with_overrides({**overrides_of(entry), "service_name": entry.name}, entry.name)


def _requests(request: Request, parts: int) -> list[Wanted]:
    found = []
    for text in request.names:
        pieces = split_request(text, parts)
        name, kind, field = [*pieces, "*", "*"][:3]
        found.append(Wanted(text, name, kind, field))
    return found or [Wanted("", "*", "*", "*")]


def _warn_unmatched(wanted: list[Wanted]) -> None:
    sys.stdout.flush()
    for request in wanted:
        if not request.found and request.text:
            warn(f'unmatched request: "{request.text}"')


def _asked(wanted: list[Wanted], entry: Entry, field: str = "") -> bool:
    """Whether any request means this; each that does is marked."""
    return bool([request for request in wanted if request.wants(entry, field)])


def _show_entries(request: Request, configuration: Configuration) -> None:
    if any(text.count("/") > 1 for text in request.names):
        raise UsageError("-M option requires service_name[/type]")
    wanted = _requests(request, 2)
    for entry in configuration.entries:
        if _asked(wanted, entry):
            settings = view(configuration, entry) if "x" in request.flags else None
            print(entry_text(entry, fold="f" in request.flags, settings=settings))
    _warn_unmatched(wanted)


def _show_fields(request: Request, configuration: Configuration) -> None:
    wanted = _requests(request, 3)
    for one in wanted:
        if one.field not in {"*", *COLUMNS}:
            raise UsageError(f'invalid service attribute name: "{one.field}"')
    for entry in configuration.entries:
        for column, value in _fields(request, configuration, entry):
            if _asked(wanted, entry, column):
                _print_field(request, f"{entry.name}/{entry.type}/{column}", value)
    _warn_unmatched(wanted)


def _fields(request: Request, configuration: Configuration, entry: Entry) -> Iterator[tuple[str, str]]:
    settings = view(configuration, entry) if "x" in request.flags else None
    for column, value in zip(COLUMNS, entry.fields, strict=True):
        if column == "command":
            length = len(f"{entry.name}/{entry.type}/command = {value}")
            value += _arguments_text(entry, length, fold="f" in request.flags, settings=settings)
        yield column, value


def _print_field(request: Request, name: str, value: str) -> None:
    if "H" in request.flags:
        print(name)
    elif "h" in request.flags:
        print(value)
    else:
        print(f"{name} = {value}")


def _show_overrides(request: Request, configuration: Configuration) -> None:
    wanted = _requests(request, 3)
    for entry in configuration.entries:
        for name, value in sorted(overrides_of(entry).items()):
            if _asked(wanted, entry, name):
                shown = view(configuration, entry).expanded(value) if "x" in request.flags else value
                print_setting(request, f"{entry.name}/{entry.type}/{name}", shown)
    _warn_unmatched(wanted)
