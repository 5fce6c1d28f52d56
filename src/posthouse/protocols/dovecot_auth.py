"""Dovecot's authentication protocol as a client speaks it: lines of words between tabs (dovecot's auth-client protocol,
version 1.x).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

from posthouse.errors import ProtocolError

MAJOR_VERSION = "1"
LINE_LIMIT = 65_536  # bytes
_ESCAPES = {"\x010": "\0", "\x011": "\x01", "\x01t": "\t", "\x01r": "\r", "\x01n": "\n"}


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A MECH line."""

    name: str
    properties: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ok:
    number: int
    user: str


@dataclass(frozen=True, slots=True)
class Fail:
    number: int
    user: str = ""
    reason: str = ""
    is_temporary: bool = False


@dataclass(frozen=True, slots=True)
class Cont:
    number: int
    data: bytes


Reply = Ok | Fail | Cont


def escape(text: str) -> str:
    """A value fit for a line."""
    if not any(char in text for char in "\0\x01\t\r\n"):
        return text
    text = text.replace("\x01", "\x011").replace("\0", "\x010")
    return text.replace("\t", "\x01t").replace("\r", "\x01r").replace("\n", "\x01n")


def unescape(text: str) -> str:
    """The reverse of escape."""
    if "\x01" not in text:
        return text
    out, position = [], 0
    while position < len(text):
        pair = text[position : position + 2]
        out.append(_ESCAPES.get(pair, text[position]))
        position += 2 if pair in _ESCAPES else 1
    return "".join(out)


def opening(process_id: int) -> bytes:
    """What the client says first."""
    return f"VERSION\t{MAJOR_VERSION}\t1\nCPID\t{process_id}\n".encode()


class Greeting:
    """What the server says first, up to DONE."""

    def __init__(self) -> None:
        self.mechanisms: list[Mechanism] = []
        self.is_complete = False
        self._has_version = False

    def take(self, line: str) -> None:
        """The next line. Raises ProtocolError for another protocol."""
        word, *fields = line.split("\t")
        if word == "VERSION":
            if not fields or fields[0] != MAJOR_VERSION:
                raise ProtocolError(f"unsupported protocol version {'.'.join(fields)}")
            self._has_version = True
        elif word == "MECH" and fields and fields[0]:
            self.mechanisms.append(Mechanism(fields[0], frozenset(field.lower() for field in fields[1:])))
        elif word == "DONE":
            if not self._has_version:
                raise ProtocolError("no protocol version")
            self.is_complete = True


def auth(number: int, mechanism: str, fields: Iterable[str], initial: bytes | None) -> bytes:
    """AUTH: fields are "name=value" or flags; the response comes last."""
    words = ["AUTH", str(number), escape(mechanism), *(escape(field) for field in fields)]
    if initial is not None:
        words.append(f"resp={base64.b64encode(initial).decode()}")
    return ("\t".join(words) + "\n").encode("utf-8", "surrogateescape")


def cont(number: int, response: bytes) -> bytes:
    """CONT."""
    return b"CONT\t%d\t%s\n" % (number, base64.b64encode(response))


def cancel(number: int) -> bytes:
    """The client does not want an answer any more."""
    return b"CANCEL\t%d\n" % number


def parse_reply(line: str) -> Reply | None:
    """OK, FAIL or CONT; None for lines that are not for us to understand. Raises ProtocolError for broken ones."""
    word, *fields = line.split("\t")
    if word not in ("OK", "FAIL", "CONT"):
        return None
    if not fields or not fields[0].isdecimal():
        raise ProtocolError(f"bad {word} line")
    number = int(fields[0])
    if word == "CONT":
        try:
            return Cont(number, base64.b64decode(fields[1] if len(fields) > 1 else "", validate=True))
        except binascii.Error as error:
            raise ProtocolError("bad CONT line") from error
    values = {name: unescape(value) for name, _, value in (field.partition("=") for field in fields[1:])}
    user = values.get("user", "")
    if word == "FAIL":
        return Fail(number, user, values.get("reason", ""), "temp" in values)
    if not user:
        raise ProtocolError("OK without a user")
    return Ok(number, user)
