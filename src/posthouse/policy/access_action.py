"""The right-hand side of an access table, taken apart (access(5)): a pure function from its text to an action."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


class Word(Enum):
    """What an access table can ask for."""

    OK = "OK"
    DUNNO = "DUNNO"
    REJECT = "REJECT"
    DEFER = "DEFER"
    DEFER_IF_PERMIT = "DEFER_IF_PERMIT"
    DEFER_IF_REJECT = "DEFER_IF_REJECT"
    CODE = "a reply code"
    WARN = "WARN"
    INFO = "INFO"
    HOLD = "HOLD"
    DISCARD = "DISCARD"
    FILTER = "FILTER"
    REDIRECT = "REDIRECT"
    BCC = "BCC"
    PREPEND = "PREPEND"
    RESTRICTIONS = "a list of restrictions"


@dataclass(frozen=True, slots=True)
class AccessAction:
    """word with its text. code is the reply code of CODE; dsn the enhanced code that the text began with, or "";
    argument is the text as written, text is it without the enhanced code.
    """

    word: Word
    argument: str = ""
    code: int = 0
    dsn: str = ""
    text: str = ""


_WITH_DSN = frozenset({Word.REJECT, Word.DEFER, Word.DEFER_IF_PERMIT, Word.DEFER_IF_REJECT})
_WORDS = {word.value: word for word in Word if word not in (Word.CODE, Word.RESTRICTIONS)}


@lru_cache(maxsize=1024)
def parse_action(value: str) -> AccessAction:
    """The action a table's value stands for."""
    value = value.strip()
    head, argument = _first_word(value)
    word = _WORDS.get(head.upper())
    if word is None and head.upper() == "RELAY":
        word = Word.OK
    if word is not None:
        dsn, text = split_dsn(argument) if word in _WITH_DSN else ("", argument)
        return AccessAction(word, argument, 0, dsn, text)
    if argument and len(head) == 3 and head.isascii() and head.isdigit() and head[0] in "45":
        dsn, text = split_dsn(argument)
        return AccessAction(Word.CODE, argument, int(head), dsn, text)
    if value.isascii() and value.isdigit():
        return AccessAction(Word.OK)
    return AccessAction(Word.RESTRICTIONS, value)


def _first_word(value: str) -> tuple[str, str]:
    for position, character in enumerate(value):
        if character in " \t":
            return value[:position], value[position:].strip()
    return value, ""


def split_dsn(text: str) -> tuple[str, str]:
    """The enhanced status code (RFC 3463) at the start of a text, or "", and the rest."""
    head, rest = _first_word(text)
    parts = head.split(".")
    if len(parts) != 3 or parts[0] not in ("2", "4", "5"):
        return "", text
    if not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts[1:]):
        return "", text
    return head, rest
