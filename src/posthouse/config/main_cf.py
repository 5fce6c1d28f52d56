"""main.cf as Postfix reads it: logical lines, comments within them, the last setting of a name wins (postconf(5))."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from posthouse.errors import ConfigError

LONGEST_VALUE = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter was set; line is 1-based."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Setting:
    """name = value, as main.cf says it; continuation lines are joined, white space at both ends is gone."""

    name: str
    value: str
    place: Place


def logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with their continuations joined, each with the 1-based number of its first line.

    A line that begins with white space continues the one before, even across comments and empty lines.
    """
    lines: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.isspace():
            continue
        if line.startswith("#") or (line[0].isspace() and line.lstrip().startswith("#")):
            continue
        if line[0].isspace() and lines:
            lines[-1][1].append(line)
        else:
            lines.append((number, [line]))
    return [(number, "".join(parts)) for number, parts in lines]


def split_setting(line: str) -> tuple[str, str] | str:
    """The name and the value of "name = value", or what is wrong with the line, in Postfix's words."""
    name, sign, value = line.partition("=")
    name = name.strip()
    if not sign or len(name.split()) > 1:
        return "missing '=' after attribute name"
    if not name:
        return "missing attribute name"
    return name, value.strip()


def parse_main_cf(text: str, file: str) -> list[Setting]:
    """All settings of a main.cf in their order. ConfigError for a line that is none."""
    settings = []
    for number, line in logical_lines(text):
        parts = split_setting(line)
        if isinstance(parts, str):
            raise ConfigError(f'{parts}: "{line.strip()}"', file=file, line=number)
        name, value = parts
        if len(value) > LONGEST_VALUE:
            raise ConfigError(
                f"the value has more than {LONGEST_VALUE} characters", file=file, line=number, parameter=name
            )
        settings.append(Setting(name, value, Place(file, number)))
    return settings


def read_main_cf(file: str) -> list[Setting]:
    """The settings of a file. ConfigError where it cannot be read."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            text = stream.read()
    except OSError as error:
        raise ConfigError(f"open {file}: {error.strerror}") from error
    return parse_main_cf(text, file)


def overridden(settings: Iterable[Setting]) -> list[str]:
    """What Postfix's commands warn of when they read main.cf: settings that a later one of the name replaces."""
    values: dict[str, str] = {}
    found: list[str] = []
    for setting in settings:
        earlier = values.get(setting.name)
        if earlier is not None and earlier != setting.value:
            place = setting.place
            found.append(f"{place.file}, line {place.line}: overriding earlier entry: {setting.name}={earlier}")
        values[setting.name] = setting.value
    return found
