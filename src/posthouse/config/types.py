"""What a parameter is: name, type, default, bounds, and one sentence about the mail (postconf(5)).

The functions below are the words in which config/parameters/ is written; parse_* read a value and raise ValueError with
the words that Postfix logs.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LARGEST_INTEGER = 2**31 - 1
LARGEST_SIZE = 2**63 - 1


class Kind(enum.Enum):
    """How a value is read."""

    TEXT = "text"
    TEMPLATE = "template"  # expanded by whom it serves, when it serves: with $user, $recipient and the like
    CHOICE = "choice"
    INTEGER = "integer"
    SIZE = "size"
    TIME = "time"
    FLAG = "flag"
    LIST = "list"
    MAPS = "maps"
    RESTRICTIONS = "restrictions"
    COMPUTED = "computed"  # the default comes from the machine


NUMERIC = frozenset({Kind.INTEGER, Kind.SIZE})
TEXTUAL = frozenset(Kind) - NUMERIC - {Kind.TIME, Kind.FLAG}


class Parameter(NamedTuple):
    """One parameter. least and most bound a number (or, with least, the length of a text); most 0 is without limit."""

    name: str
    kind: Kind
    default: str
    sentence: str
    least: int = 0
    most: int = 0
    values: tuple[str, ...] = ()


def text(name: str, default: str, sentence: str, least: int = 0, most: int = 0) -> Parameter:
    """A text with $names; least and most are lengths."""
    return Parameter(name, Kind.TEXT, default, sentence, least, most)


def template(name: str, default: str, sentence: str, least: int = 0) -> Parameter:
    """A text that is kept as written, because its $names are those of a recipient or a client."""
    return Parameter(name, Kind.TEMPLATE, default, sentence, least)


def choice(name: str, default: str, sentence: str, values: tuple[str, ...], least: int = 0) -> Parameter:
    """A word out of a few."""
    return Parameter(name, Kind.CHOICE, default, sentence, least, 0, values)


def words(name: str, default: str, sentence: str, least: int = 0) -> Parameter:
    """A list, separated by commas and white space."""
    return Parameter(name, Kind.LIST, default, sentence, least)


def maps(name: str, default: str, sentence: str, least: int = 0) -> Parameter:
    """A list of lookup tables, type:name."""
    return Parameter(name, Kind.MAPS, default, sentence, least)


def restrictions(name: str, default: str, sentence: str) -> Parameter:
    """A list of access restrictions."""
    return Parameter(name, Kind.RESTRICTIONS, default, sentence)


def integer(name: str, default: str, sentence: str, least: int = 0, most: int = 0) -> Parameter:
    """A number."""
    return Parameter(name, Kind.INTEGER, default, sentence, least, most)


def size(name: str, default: str, sentence: str, least: int = 0) -> Parameter:
    """A number of bytes."""
    return Parameter(name, Kind.SIZE, default, sentence, least)


def time(name: str, default: str, sentence: str, least: int = 0, most: int = 0) -> Parameter:
    """A time; its unit, where a value has none, is that of the default. least and most are seconds."""
    return Parameter(name, Kind.TIME, default, sentence, least, most)


def flag(name: str, default: str, sentence: str) -> Parameter:
    """Yes or no."""
    return Parameter(name, Kind.FLAG, default, sentence, 0, 0, ("yes", "no"))


def computed(name: str, sentence: str, least: int = 0) -> Parameter:
    """A parameter whose default the machine gives."""
    return Parameter(name, Kind.COMPUTED, "", sentence, least)


def parse_integer(parameter: Parameter, value: str) -> int:
    """The number in a value, within the parameter's bounds."""
    try:
        number = int(value) if value.isascii() and "_" not in value and value == value.rstrip() else None
    except ValueError:
        number = None
    largest = LARGEST_SIZE if parameter.kind is Kind.SIZE else LARGEST_INTEGER
    if number is None or not -largest - 1 <= number <= largest:
        raise ValueError(f"bad numerical configuration: {parameter.name} = {value}")
    if number < parameter.least:
        raise ValueError(f"invalid {parameter.name} parameter value {number} < {parameter.least}")
    if parameter.most and number > parameter.most:
        raise ValueError(f"invalid {parameter.name} parameter value {number} > {parameter.most}")
    return number


def parse_seconds(value: str, default_unit: str) -> int | None:
    """The seconds of "5d" or "300"; None where this is not a time."""
    digits, unit = (value[:-1], value[-1]) if value and not value[-1].isdigit() else (value, default_unit)
    if not digits.isascii() or not digits.isdecimal() or unit not in UNITS:
        return None
    seconds = int(digits) * UNITS[unit]
    return seconds if seconds <= LARGEST_INTEGER else None


def parse_time(parameter: Parameter, value: str, default_unit: str) -> int:
    """A time in seconds, within the parameter's bounds."""
    seconds = parse_seconds(value, default_unit)
    if seconds is None:
        raise ValueError(f"parameter {parameter.name}: bad time value or unit: {value}")
    if seconds < parameter.least:
        raise ValueError(f"invalid {parameter.name}: {seconds} (min {parameter.least})")
    if parameter.most and seconds > parameter.most:
        raise ValueError(f"invalid {parameter.name}: {seconds} (max {parameter.most})")
    return seconds


def parse_flag(name: str, value: str) -> bool:
    """Yes or no, in any case of letters."""
    lowered = value.lower()
    if lowered not in {"yes", "no"}:
        raise ValueError(f"bad boolean configuration: {name} = {value}")
    return lowered == "yes"


def parse_text(parameter: Parameter, value: str) -> str:
    """A text of the right length."""
    length = len(value.encode("utf-8", "surrogateescape"))
    if length < parameter.least:
        raise ValueError(f"bad string length {length} < {parameter.least}: {parameter.name} = {value}")
    if parameter.most and length > parameter.most:
        raise ValueError(f"bad string length {length} > {parameter.most}: {parameter.name} = {value}")
    return value


def split_items(value: str) -> tuple[str, ...]:
    """The items of a list: separated by commas and white space, but not within braces; {a b} loses its outer braces."""
    if "{" not in value:
        return tuple(value.replace(",", " ").split())
    items: list[str] = []
    depth = 0
    begin = -1
    for at, letter in enumerate(value):
        if letter in ", \t\r\n" and depth == 0:
            if begin >= 0:
                items.append(value[begin:at])
                begin = -1
            continue
        if begin < 0:
            begin = at
        depth += (letter == "{") - (letter == "}" and depth > 0)
    if begin >= 0:
        items.append(value[begin:])
    return tuple(without_braces(item) for item in items)


def without_braces(item: str) -> str:
    """The text between the braces of "{text}", without white space at its ends; anything else as it is."""
    return item[1:-1].strip() if item.startswith("{") and item.endswith("}") else item
