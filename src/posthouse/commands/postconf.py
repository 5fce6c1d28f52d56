"""postconf: what the configuration says, and changes to it (postconf(1))."""

from __future__ import annotations

import getopt
import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from posthouse.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

LETTERS = "aAbc:C:defFhHlmMno:pPtT:vxX#"
PARAMETER_CLASSES = ("all", "builtin", "service", "user")

_EXCLUSIVE = ("aAbFlmMPtT", "hH", "dn", "deX#", "eX#n", "eX#f", "eX#x", "eX#hH", "eX#p")
"""Options of which one excludes the others."""

_COMPATIBLE = {
    "M": "cefvxX#",
    "F": "cefhHvx",
    "P": "cefhHvxX",
    **dict.fromkeys("aAlmtbT", "cv"),
}
"""What may go with an option that is a mode of its own."""


class UsageError(Exception):
    """The command line asks for something that does not exist."""


@dataclass(slots=True)
class Request:
    """A command line, taken apart."""

    flags: set[str] = field(default_factory=set)
    directory: str = "/etc/postfix"
    directory_given: bool = False
    overrides: list[str] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    tls: str = ""
    names: list[str] = field(default_factory=list)

    @property
    def edits(self) -> bool:
        return bool(self.flags & {"e", "X", "#"})


def warn(text: str) -> None:
    """A line on standard error that stops nothing."""
    sys.stdout.flush()
    print(f"{program()}: warning: {text}", file=sys.stderr)


def program() -> str:
    """The name under which this command complains: as it was called."""
    return os.path.basename(sys.argv[0]) or "postconf"


def parse(arguments: Sequence[str]) -> Request:
    """Take a command line apart. UsageError for what makes no sense."""
    try:
        options, names = getopt.gnu_getopt(list(arguments), LETTERS)
    except getopt.GetoptError as error:
        says = "option requires an argument" if "requires argument" in str(error) else "invalid option"
        if len(error.opt) == 1:
            print(f"{program()}: {says} -- '{error.opt}'", file=sys.stderr)
        raise UsageError(usage()) from None
    directory = os.environ.get("MAIL_CONFIG", "")
    request = Request(names=names, directory=directory or "/etc/postfix", directory_given=bool(directory))
    for option, value in options:
        letter = option[1]
        if letter == "c":
            request.directory, request.directory_given = value, True
        elif letter == "o":
            if "=" not in value:
                raise UsageError(f"invalid parameter override: {value}: missing '=' after attribute name")
            request.overrides.append(value)
        elif letter == "C":
            request.classes.update(_classes(value))
        elif letter == "T":
            request.flags.add("T")
            request.tls = value
        else:
            request.flags.add(letter)
    return _checked(request)


def _classes(value: str) -> list[str]:
    """The parameter classes of -C. UsageError for what is none."""
    words = re.split(r"[,\s]+", value.strip(", "))
    for word in words:
        if word not in PARAMETER_CLASSES:
            raise UsageError(f'unknown -C option value "{word}" in "{value}"')
    return words


def _checked(request: Request) -> Request:
    flags = request.flags
    for group in _EXCLUSIVE:
        both = [f"-{letter}" for letter in group if letter in flags]
        if len(both) > 1:
            raise UsageError(f"specify one of {' '.join(both)}")
    for mode, compatible in _COMPATIBLE.items():
        if mode in flags:
            for letter in sorted(flags - {mode, *compatible}):
                raise UsageError(f"with option -{mode}, do not specify -{letter}")
    assigns = any("=" in name for name in request.names)
    if not request.edits and assigns:
        flags.add("e")
    elif "X" in flags and "M" not in flags and assigns:
        raise UsageError("specify one of -e -X")
    return request


def usage() -> str:
    """One line on what may be asked."""
    words = ["-a", "-A", "-b", "-c config_dir", "-C param_class", "-d", "-e", "-f", "-F", "-h", "-H", "-l", "-m", "-M"]
    words += ["-n", "-o name=value", "-p", "-P", "-t", "-T mode", "-v", "-x", "-X", "-#"]
    return f"usage: postconf {' '.join(f'[{word}]' for word in words)} [name...]"


def run(request: Request) -> int:
    """Do what is asked. The exit status of the command."""
    flags = request.flags
    if request.edits:
        from posthouse.commands import postconf_edit, postconf_edit_master

        if flags & set("MFP"):
            return postconf_edit_master.edit(request)
        return postconf_edit.edit(request)
    if flags & set("aAlmTbt"):
        from posthouse.commands import postconf_lists

        return postconf_lists.show(request)
    if flags & set("MFP"):
        from posthouse.commands import postconf_master

        return postconf_master.show(request)
    from posthouse.commands import postconf_show

    return postconf_show.show(request)


def complaint(error: UsageError | ConfigError) -> str:
    """The text for an error, as Postfix words it."""
    from posthouse.config.master_cf import ColumnError

    if not isinstance(error, ColumnError):
        return str(error)
    if error.text == "bad field count":
        return f"file {error.file}: line {error.line}: {error.text}"
    return error.text


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit status 0, or 1 with a reason on standard error."""
    try:
        request = parse(sys.argv[1:] if arguments is None else arguments)
        status = run(request)
        sys.stdout.flush()
    except (UsageError, ConfigError) as error:
        sys.stdout.flush()
        print(f"{program()}: fatal: {complaint(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader (head, less) has seen enough
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
