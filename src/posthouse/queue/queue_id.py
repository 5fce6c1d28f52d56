"""The name of a message in the queue: short upper-case hexadecimal, or long (enable_long_queue_ids; postconf(5)).

Both are made of the time in microseconds and the number of the worker, so they grow with time and are never used twice.
"""

from __future__ import annotations

import hashlib
import threading
import time

_LONG_ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
_LONG_VALUES = {character: value for value, character in enumerate(_LONG_ALPHABET)}
_HEXADECIMAL = frozenset("0123456789ABCDEF")
_EPOCH_S = 1_577_836_800  # 2020-01-01: keeps short ids at 14 digits until after the year 2060
_WORKERS = 32
_LONG_BIT = 1 << 61  # keeps the numbers of long ids apart from those of short ones, and of names from elsewhere
_OTHER_BIT = 1 << 62
MAXIMAL_LENGTH = 40


class QueueIds:
    """Makes queue ids for one worker (0..31) of the house.

    Ids are unique as long as the clock is not set back by more than the time the mail system was down; within one
    process they are unique whatever the clock does.
    """

    def __init__(self, worker: int = 0, *, long: bool = False) -> None:
        if not 0 <= worker < _WORKERS:
            raise ValueError(f"worker number {worker} is not within 0..{_WORKERS - 1}")
        self._worker, self._long, self._last, self._lock = worker, long, 0, threading.Lock()

    def new(self) -> str:
        """A queue id that no other message has or had."""
        with self._lock:
            moment = max(time.time_ns() // 1000, self._last + 1)
            while not (name := self._write(moment)):
                moment += 1
            self._last = moment
        return name

    def _write(self, moment: int) -> str:
        if self._long:
            return long_form(moment, self._worker)
        name = f"{(moment - _EPOCH_S * 1_000_000) * _WORKERS + self._worker:X}"
        # Programs that read logs know a queue id by its digits and letters: an id of digits alone is passed over.
        return "" if name.isdigit() or name.isalpha() else name


def long_form(moment: int, number: int) -> str:
    """Postfix's long form: seconds in 6 characters or more of base 52, microseconds in 4, "z", a number in base 51."""
    seconds, microseconds = divmod(moment, 1_000_000)
    return f"{_base(seconds, 52, 6)}{_base(microseconds, 52, 4)}z{_base(number, 51, 1)}"


def _base(number: int, base: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, base)
        digits = _LONG_ALPHABET[digit] + digits
    return digits.rjust(width, "0")


def row_number(queue_id: str) -> int:
    """A number of at most 63 bits for a queue id that QueueIds made, growing with time; different for different ids."""
    if 0 < len(queue_id) <= 15 and queue_id[0] != "0" and _HEXADECIMAL.issuperset(queue_id):
        return int(queue_id, 16)
    if len(queue_id) == 12 and queue_id[10] == "z" and _LONG_VALUES.keys() >= set(queue_id):
        moment = _value(queue_id[:6]) * 1_000_000 + _value(queue_id[6:10])
        return _LONG_BIT | (moment * 64 + _LONG_VALUES[queue_id[11]])
    return _OTHER_BIT | int.from_bytes(hashlib.sha256(queue_id.encode("utf-8", "surrogateescape")).digest()[:7], "big")


def _value(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 52 + _LONG_VALUES[digit]
    return value


def is_queue_id(text: str) -> bool:
    """Whether this could be a queue id: letters and digits, not too long. Anything else never reaches a store."""
    return 0 < len(text) <= MAXIMAL_LENGTH and text.isascii() and text.isalnum()
