"""postconf -e, -X and -# on main.cf: settings are changed where they stand, comments stay (postconf(1))."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from posthouse.commands.postconf import Request, UsageError, warn
from posthouse.config.main_cf import split_setting
from posthouse.errors import ConfigError


def check_text(text: str) -> None:
    """Refuse what would break the file."""
    if "\n" in text:
        raise UsageError("-e, -X, or -# accepts no multi-line input")
    if text.lstrip().startswith("#"):
        raise UsageError("-e, -X, or -# accepts no comment input")


def read_lines(file: str) -> list[str]:
    """The physical lines of a file, each with its end."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            lines = stream.read().split("\n")
    except OSError as error:
        raise ConfigError(f"open {file} for reading: {error.strerror}") from error
    if lines and not lines[-1]:
        lines.pop()
    return [f"{line}\n" for line in lines]


def replace_file(file: str, text: str) -> None:
    """Put a new text in the place of a file at once; owner, group and mode stay as they were."""
    target = os.path.realpath(file)
    temporary = f"{target}.tmp"
    try:
        before = os.stat(target)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fsync(descriptor)
        os.rename(temporary, target)
    except OSError as error:
        raise ConfigError(f"write {file}: {error.strerror}") from error


def requested(request: Request) -> dict[str, str]:
    """The names to change, with the text of the line that takes their place ("" where none does)."""
    if not request.names:
        raise UsageError("-e requires name=value argument" if "e" in request.flags else "missing service argument")
    wanted: dict[str, str] = {}
    for text in request.names:
        check_text(text)
        name, line = text.strip(), ""
        if "e" in request.flags:
            parts = split_setting(text)
            if isinstance(parts, str):
                raise UsageError(f'{parts}: "{text.strip()}"')
            name, line = parts[0], f"{parts[0]} = {parts[1]}"
            if name in wanted:
                warn(f"ignoring earlier request: '{wanted[name]}'")
        elif "=" in text or not name or any(letter.isspace() for letter in name):
            raise UsageError("-X or -# requires a parameter name")
        wanted[name] = line
    return wanted


def name_of(line: str) -> str:
    """The name that a line of main.cf sets."""
    return line.split("=", 1)[0].split(None, 1)[0] if line.split("=", 1)[0].split() else ""


def edited(lines: list[str], wanted: dict[str, str], letter: str, warn_twice: Callable[[str], None]) -> str:
    """The text of main.cf after the change. letter is "e", "X" or "#"."""
    result: list[str] = []
    found: dict[str, int] = {}
    concerned = False
    for line in lines:
        if line.isspace() or line.lstrip().startswith("#"):
            result.append(line)
            continue
        begins = not line[0].isspace()
        if begins:
            name = name_of(line)
            concerned = name in wanted
            if concerned:
                found[name] = found.get(name, 0) + 1
                if found[name] == 2:
                    warn_twice(name)
        if not concerned:
            result.append(line)
        elif letter == "#":
            result.append(f"#{line}")
        elif letter == "e" and begins:
            result.append(f"{wanted[name]}\n")
    if letter == "e":
        result.extend(f"{line}\n" for name, line in wanted.items() if name not in found)
    return "".join(result)


def edit(request: Request) -> int:
    """Postconf -e name=value..., -X name..., -# name..."""
    wanted = requested(request)
    file = os.path.join(request.directory, "main.cf")
    letter = next(letter for letter in "eX#" if letter in request.flags)
    text = edited(read_lines(file), wanted, letter, lambda name: warn(f'{file}: multiple entries for "{name}"'))
    replace_file(file, text)
    return 0
