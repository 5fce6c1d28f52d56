"""postconf without a mode, -n and -d: the parameters and their values (postconf(1))."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from posthouse.commands.postconf import Request, warn
from posthouse.config import known, main_cf, master_cf
from posthouse.config.main_cf import Place, Setting, overridden
from posthouse.config.parameters import PARAMETERS
from posthouse.config.settings import Settings, from_lines
from posthouse.config.types import Kind
from posthouse.errors import ConfigError

LINE_LIMIT = 80
INDENT = "    "


@dataclass(slots=True)
class Configuration:
    """main.cf and master.cf together, and what is known of their names."""

    settings: Settings
    lines: dict[str, Setting]
    entries: list[master_cf.Entry]
    names: known.Names
    main: str
    master: str


def folded(text: str) -> str:
    """A line of words, continued with an indent where it would grow too long."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > LINE_LIMIT and len(line) > len(INDENT):
            lines.append(line)
            line = INDENT + word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def print_setting(request: Request, name: str, value: str) -> None:
    """One line "name = value", or what -h, -H and -f make of it."""
    if "H" in request.flags:
        print(name)
        return
    text = f"{name} = {value}" if "h" not in request.flags else value
    print(folded(text) if "f" in request.flags else " ".join(text.split()))


def warn_overridden(lines: Iterable[Setting]) -> None:
    """Report settings of a name that a later one replaces."""
    for text in overridden(lines):
        warn(text)


def read_main(main: str) -> list[Setting]:
    """Read main.cf, and report settings that later ones replace.

    Differs from Postfix: a file that has just changed is not read again for two seconds, with new warnings each time.
    """
    lines = main_cf.read_main_cf(main)
    warn_overridden(lines)
    return lines


def read(request: Request, *, defaults_only: bool = False) -> Configuration:
    """Read both files. main.cf is not read where only defaults are asked for; master.cf may be absent then."""
    directory = request.directory
    main, master = os.path.join(directory, "main.cf"), os.path.join(directory, "master.cf")
    lines = [] if defaults_only else read_main(main)
    if not defaults_only and request.directory_given:
        lines.append(Setting("config_directory", directory, Place("", 0)))
    for override in request.overrides:
        name, _, value = override.partition("=")
        lines.append(Setting(name.strip(), value.strip(), Place("", 0)))
    entries: list[master_cf.Entry] = []
    try:
        entries = master_cf.read_entries(directory if os.path.isdir(directory) else master)
    except ConfigError as error:
        if os.path.exists(master):
            raise
        warn(str(error))
    settings = from_lines(lines, directory)
    by_name = {line.name: line for line in lines}
    names = known.survey(by_name, entries, main, master)
    for file, name in () if defaults_only else names.undefined:
        warn(f"{file}: undefined parameter: {name}")
    return Configuration(settings, by_name, entries, names, main, master)


def warn_unused(configuration: Configuration) -> None:
    """Report what main.cf and master.cf set, but nothing knows."""
    for name, setting in configuration.lines.items():
        if not configuration.names.knows(name):
            warn(f"{configuration.main}: unused parameter: {name}={setting.value}")
    warn_unused_overrides(configuration)


def warn_unused_overrides(configuration: Configuration) -> None:
    """Report -o settings in master.cf of names that nothing knows."""
    for entry in configuration.entries:
        for name, value in known.overrides_of(entry).items():
            if not configuration.names.knows(name):
                warn(f"{configuration.master}: unused parameter: {name}={value}")


def wanted_names(request: Request, configuration: Configuration) -> list[str]:
    """The names to show, in order; names that nothing knows are reported."""
    names = configuration.names
    if request.names:
        unknown = [name for name in request.names if not names.knows(name)]
        for name in unknown:
            warn(f"{name}: unknown parameter")
        return [name for name in request.names if name not in unknown]
    classes = request.classes or {"all"}
    found: set[str] = set()
    if classes & {"all", "builtin"}:
        found.update(name for name in PARAMETERS if name not in names.service)
    if classes & {"all", "service"}:
        found.update(names.service)
    if classes & {"all", "user"} and "d" not in request.flags:
        found.update(name for name in names.user if name in configuration.lines)
    return sorted(found)


def value_of(configuration: Configuration, name: str, *, defaults: bool) -> str:
    """The text to show: what is set, else the default."""
    setting = configuration.lines.get(name)
    if setting is not None and not defaults:
        return setting.value
    return configuration.settings.default(name)


def is_template(name: str) -> bool:
    """Whether a value is kept as written, because its $names are those of a recipient or a client."""
    parameter = PARAMETERS.get(name)
    return parameter is not None and parameter.kind is Kind.TEMPLATE


def show(request: Request) -> int:
    """Postconf [-d | -n] [name...]."""
    defaults = "d" in request.flags
    configuration = read(request, defaults_only=defaults)
    settings = configuration.settings
    shown = wanted_names(request, configuration)
    for name in shown:
        if "n" in request.flags and name not in configuration.lines:
            continue
        value = value_of(configuration, name, defaults=defaults)
        if "x" in request.flags and not is_template(name):
            value = settings.expanded(value, name)
        print_setting(request, name, value)
    if not defaults:
        sys.stdout.flush()
        warn_unused(configuration)
    return 0
