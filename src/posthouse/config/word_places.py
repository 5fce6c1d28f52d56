"""On which line of main.cf or master.cf each word of a value stands, for those who have to mend it."""

from __future__ import annotations

from functools import lru_cache

from posthouse.config.expand import ExpansionError
from posthouse.config.main_cf import Place
from posthouse.config.settings import Settings
from posthouse.errors import ConfigError

_SEPARATORS = ", \t\r\n"


def places_of_words(settings: Settings, parameter: str) -> list[Place]:
    """A place for each word of the expanded value, in their order; [] for a default.

    Words are what commas and white space divide, braces keep text whole.
    """
    place = settings.place(parameter)
    if place is None:
        return []
    if place.file != settings.place_of_file():
        return [line_of_override(place, parameter)] * len(divide(settings.text(parameter)))
    found: list[Place] = []
    for word, line in _raw_words(place):
        count = 1
        if "$" in word:
            try:
                count = len(divide(settings.expanded(word, parameter)))
            except (ConfigError, ExpansionError):
                count = 1
        found += [Place(place.file, line)] * count
    return found


def place_of_word(settings: Settings, parameter: str, word: str) -> Place:
    """Where a word first stands in the value; the parameter's own place where that is not known."""
    places = places_of_words(settings, parameter)
    for one, place in zip(divide(settings.text(parameter)), places, strict=False):
        if one == word:
            return place
    return settings.place(parameter) or Place("", 0)


def divide(text: str) -> list[str]:
    """The words of a list."""
    return [word for word, _ in _with_offsets(text)]


def _with_offsets(text: str) -> list[tuple[str, int]]:
    words: list[tuple[str, int]] = []
    start, depth = -1, 0
    for position, character in enumerate(text):
        if depth == 0 and character in _SEPARATORS:
            if start >= 0:
                words.append((text[start:position], start))
            start = -1
            continue
        start = position if start < 0 else start
        depth = max(depth + (character == "{") - (character == "}"), 0)
    if start >= 0:
        words.append((text[start:], start))
    return words


def _raw_words(place: Place) -> list[tuple[str, int]]:
    """The words of the logical line that begins there, each with its physical line."""
    parts: list[str] = []
    begins: list[tuple[int, int]] = []
    length = 0
    for number, line in _physical_lines(place):
        text = line
        if not parts:
            text = line.partition("=")[2]
        begins.append((length, number))
        parts.append(text + " ")
        length += len(text) + 1
    return [(word, _line_at(begins, offset)) for word, offset in _with_offsets("".join(parts))]


def _line_at(begins: list[tuple[int, int]], offset: int) -> int:
    return max((number for begin, number in begins if begin <= offset), default=0)


def _physical_lines(place: Place) -> list[tuple[int, str]]:
    lines = _lines_of(place.file)
    found: list[tuple[int, str]] = []
    for number in range(place.line, len(lines) + 1):
        line = lines[number - 1]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if found and not line[0].isspace():
            break
        found.append((number, line))
    return found


def line_of_override(place: Place, parameter: str) -> Place:
    """The line of an -o setting within the lines of its service."""
    for number, line in _physical_lines(place):
        if f"{parameter}=" in line.replace(" ", ""):
            return Place(place.file, number)
    return place


@lru_cache(maxsize=8)
def _lines_of(file: str) -> tuple[str, ...]:
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as stream:
            return tuple(stream.read().split("\n"))
    except OSError:
        return ()


def forget_files() -> None:
    """Read files anew."""
    _lines_of.cache_clear()
