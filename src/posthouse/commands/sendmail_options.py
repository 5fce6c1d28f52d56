"""The command line of sendmail(1): its options, in their many spellings."""

from __future__ import annotations

import getopt
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

EX_OK, EX_USAGE, EX_UNAVAILABLE, EX_TEMPFAIL = 0, 64, 69, 75
ENVID_LIMIT = 100
VERP_CHARACTERS, VERP_LENGTH = "-=+", 2
MODES = frozenset("dhHilmpsv")
NOTIFY = {"never": 1, "success": 2, "failure": 4, "delay": 8}
LETTERS = "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:q:r:tvx"


class Stop(Exception):
    """The end of this run: text for standard error and the log."""

    def __init__(self, text: str, code: int = EX_TEMPFAIL) -> None:
        super().__init__(text)
        self.text, self.code = text, code


@dataclass(slots=True)
class Options:
    """What the command line asks for. mode is the letter after -b; queue is the text after -q, None without it.
    is_gateway: the message comes from elsewhere, and its header is not to be completed.
    """

    mode: str = "m"
    config_directory: str | None = None
    sender: str | None = None
    fullname: str | None = None
    extracts: bool = False
    dot_ends: bool = True
    verbose: int = 0
    encoding: str = ""
    notify: int = 0
    ret: str = ""
    envid: str = ""
    verp: str | None = None
    smtputf8: bool = False
    is_gateway: bool = False
    queue: str | None = None
    site: str = ""
    queue_id: str = ""
    alias_file: str = ""
    recipients: list[str] = field(default_factory=list)


def warn(text: str) -> None:
    """A warning on standard error; nobody else is interested."""
    print(f"{program()}: warning: {text}", file=sys.stderr)


def program() -> str:
    """The name that this command was called by."""
    return os.path.basename(sys.argv[0]) or "sendmail"


def read_options(words: list[str]) -> Options:
    """In order, up to the first word that is no option. Raises Stop."""
    try:
        pairs, recipients = getopt.getopt(list(_joined(words)), LETTERS)
    except getopt.GetoptError as problem:
        needs = "requires argument" in problem.msg
        trouble = "option requires an argument" if needs else "invalid option"
        print(f"{program()}: {trouble} -- '{problem.opt}'", file=sys.stderr)
        raise Stop("usage: sendmail [options]") from None
    options = Options(recipients=recipients)
    for letter, value in pairs:
        _apply(options, letter[1], value)
    return options


def _joined(words: list[str]) -> Iterator[str]:
    """Options whose value is only ever joined to them, made fit for getopt: -q, -I, -m and the like."""
    at_options, is_value = True, False
    for word in words:
        if is_value:
            is_value = False
            yield word
            continue
        at_options = at_options and word.startswith("-") and word not in {"-", "--"}
        if at_options and word == "-q":
            yield word + " "
            continue
        is_value = at_options and _wants_value(word)
        yield word


def _wants_value(word: str) -> bool:
    """Whether the value of the last letter is the next word."""
    wanting = [at for at, letter in enumerate(word) if at and f"{letter}:" in LETTERS]
    return bool(wanting) and wanting[0] == len(word) - 1


def _apply(options: Options, letter: str, value: str) -> None:
    match letter:
        case "B":
            if value.upper() not in {"8BITMIME", "7BIT"}:
                raise Stop("-B option needs 8BITMIME or 7BIT")
            options.encoding = value.upper()
        case "n":
            raise Stop("-n option not supported")
        case "I":
            options.mode = "i"
        case "G":
            options.is_gateway = True
        case "i":
            options.dot_ends = False
        case "t":
            options.extracts = True
        case "v":
            options.verbose += 1
        case _:
            if (apply := WITH_VALUE.get(letter)) is not None:
                apply(options, value)


def _config_directory(options: Options, value: str) -> None:
    options.config_directory = value


def _fullname(options: Options, value: str) -> None:
    options.fullname = value


def _sender(options: Options, value: str) -> None:
    options.sender = value


def _notify(options: Options, value: str) -> None:
    mask, is_good = 0, True
    for word in re.split(r"[,\s]+", value.strip()):
        number = NOTIFY.get(word.lower(), 0)
        if not number:
            warn(f'unknown DSN NOTIFY command value "{word}" in "{value}"')
        is_good = is_good and bool(number)
        mask |= number
    if not is_good or (mask & NOTIFY["never"] and mask != NOTIFY["never"]):
        warn("bad -N option value -- ignored")
        return
    options.notify = mask


def _ret(options: Options, value: str) -> None:
    if value.lower() not in {"full", "hdrs"}:
        warn("bad -R option value -- ignored")
        return
    options.ret = value.upper()


def _envid(options: Options, value: str) -> None:
    if len(value) == VERP_LENGTH and all(letter in VERP_CHARACTERS for letter in value):
        warn(f"option -V{value} is deprecated with Postfix 2.3; specify -XV{value} instead")
        options.verp = value
        return
    if not (value.isprintable() and value.isascii() and len(value) <= ENVID_LIMIT):
        warn("bad -V option value -- ignored")
        return
    options.envid = value


def _extension(options: Options, value: str) -> None:
    if not value.startswith("V"):
        raise Stop(f"unsupported: -X{value[:1]}")
    options.verp = value[1:]


def _mode(options: Options, value: str) -> None:
    if value[:1] not in MODES:
        raise Stop(f"unsupported: -b{value[:1]}")
    options.mode = value[:1]


def _queue(options: Options, value: str) -> None:
    if value.startswith("S"):
        raise Stop("-qS is not implemented")
    if options.mode == "d":
        warn("ignoring -q option in daemon mode")
        return
    options.queue = value.strip()
    options.queue_id = value[1:] if value.startswith("I") else ""
    options.site = value[1:] if value.startswith("R") else ""


def _old_option(options: Options, value: str) -> None:
    """-o with Sendmail's old letters; most of them are about things that are not here."""
    if value.startswith("i"):
        options.dot_ends = False
    elif value.startswith("A"):
        options.alias_file = value[1:]
    elif value[:1] in {"7", "8"}:
        options.encoding = "7BIT" if value[0] == "7" else "8BITMIME"


def _long_option(options: Options, value: str) -> None:
    """-O name=value, Sendmail's long names."""
    name, _, text = value.partition("=")
    if name.lower() == "ignoredots":
        options.dot_ends = text[:1].lower() in {"f", "n", "0"}
    elif name.lower() == "aliasfile":
        options.alias_file = text


WITH_VALUE: dict[str, Callable[[Options, str], None]] = {
    "C": _config_directory,
    "F": _fullname,
    "N": _notify,
    "O": _long_option,
    "R": _ret,
    "V": _envid,
    "X": _extension,
    "b": _mode,
    "f": _sender,
    "o": _old_option,
    "q": _queue,
    "r": _sender,
}
