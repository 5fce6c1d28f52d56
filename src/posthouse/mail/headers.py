"""Header fields: how a header divides into fields, and how a field divides into name and value (RFC 5322, 2.2).

A field is bytes without its last LF; folded fields keep the LFs inside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntFlag

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*+")
_WHOLE = re.compile(rb"(?:[!-9;-~]++:[^\n]*+\n(?:[ \t][^\n]*+\n)*+)*+")
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")


class Role(IntFlag):
    """What a field holds, as far as cleanup(8) minds."""

    NOTHING = 0
    SENDER = 1  # addresses that sender rewriting applies to
    RECIPIENT = 2
    RESENT = 4


ROLES: dict[bytes, Role] = {
    b"apparently-to": Role.RECIPIENT,
    b"bcc": Role.RECIPIENT,
    b"cc": Role.RECIPIENT,
    b"disposition-notification-to": Role.SENDER,
    b"errors-to": Role.SENDER,
    b"from": Role.SENDER,
    b"mail-followup-to": Role.SENDER,
    b"reply-to": Role.SENDER,
    b"resent-bcc": Role.RECIPIENT | Role.RESENT,
    b"resent-cc": Role.RECIPIENT | Role.RESENT,
    b"resent-date": Role.RESENT,
    b"resent-from": Role.SENDER | Role.RESENT,
    b"resent-message-id": Role.RESENT,
    b"resent-reply-to": Role.RECIPIENT | Role.RESENT,
    b"resent-sender": Role.SENDER | Role.RESENT,
    b"resent-to": Role.RECIPIENT | Role.RESENT,
    b"return-path": Role.SENDER,
    b"return-receipt-to": Role.SENDER,
    b"sender": Role.SENDER,
    b"to": Role.RECIPIENT,
}


@dataclass(frozen=True, slots=True)
class Divided:
    """fields in order; rest is what follows the first line that is no field (b"" where all is well)."""

    fields: list[bytes]
    rest: bytes


def is_well_formed(header: bytes) -> bool:
    """Whether the header consists of fields only, with no space before a colon."""
    match = _WHOLE.match(header)
    return match is not None and match.end() == len(header)


def divide(header: bytes) -> Divided:
    """Take a header apart. White space between a name and its colon is dropped."""
    fields: list[bytes] = []
    position = 0
    while match := _FIELD.match(header, position):
        field, name = match[0][:-1], match[1]
        if field[len(name)] != ord(":"):
            field = name + field[field.index(b":") :]
        fields.append(field)
        position = match.end()
    return Divided(fields, header[position:])


def name_of(field: bytes) -> bytes:
    """The name in lower case; b"" for what is no field."""
    match = _NAME.match(field)
    return match[1].lower() if match else b""


def value_of(field: bytes) -> bytes:
    """What follows the colon, without white space around it."""
    return field.partition(b":")[2].strip()


def is_field(text: bytes) -> bool:
    """Whether text begins like a header field."""
    return _NAME.match(text) is not None


def limit_size(field: bytes, limit: int) -> bytes:
    """A field loses what is beyond the limit (bytes; header_size_limit): whole lines, but for the first."""
    if len(field) <= limit:
        return field
    fold = field.rfind(b"\n", 0, limit + 1)
    return field[: fold if fold > 0 else limit]
