"""What is wrong with the header of a message, by the kinds and in the words of amavisd's "bad header" (RFC 5322)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from posthouse.filters.scanner.mime_names import read_head

LINE_LIMIT = 998
SHOWN = 50
_ONCE = (
    b"Date", b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Bcc", b"Subject", b"Message-ID", b"References",
    b"In-Reply-To", b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding", b"Content-ID",
    b"Content-Description", b"Content-Disposition",
)  # fmt: skip
_REQUIRED = (b"Date", b"From")
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")


class Fault(IntEnum):
    """The kinds of bad headers; the number is that in BAD-HEADER-n, and the greatest that is found counts."""

    MIME = 1
    EIGHT_BIT = 2
    CONTROL = 3
    EMPTY = 4
    LONG = 5
    SYNTAX = 6
    MISSING = 7
    MULTIPLE = 8


WORDS = {  # as in %allowed_header_tests
    "mime": Fault.MIME, "8bit": Fault.EIGHT_BIT, "control": Fault.CONTROL, "empty": Fault.EMPTY, "long": Fault.LONG,
    "syntax": Fault.SYNTAX, "missing": Fault.MISSING, "multiple": Fault.MULTIPLE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BadHeader:
    """fault is the gravest one; text tells of the first that was met."""

    fault: Fault
    text: str


class _Met:
    """What was met: the gravest fault, and the words for the first."""

    def __init__(self) -> None:
        self.gravest: Fault | None = None
        self.text = ""

    def note(self, fault: Fault, text: str, line: bytes | None = None) -> None:
        if self.gravest is None:
            self.text = text if line is None else f"{text}: {_shown(line)}"
        self.gravest = max(fault, self.gravest or fault)


def check(header: bytes) -> BadHeader | None:
    """Look through a header with LF line ends; None where all is well."""
    met = _Met()
    seen: dict[bytes, int] = {}
    field = b""
    for line in header.split(b"\n"):
        if not line:
            continue
        if line[:1] in (b" ", b"\t"):
            _check_continuation(line, field, met)
        elif (found := _NAME.match(line)) is not None:
            name, field = found[1].lower(), line
            seen[name] = seen.get(name, 0) + 1
        else:
            field = line
            met.note(Fault.SYNTAX, "Invalid header field syntax", line)
        _check_characters(line, met)
    _check_fields(seen, met)
    head = read_head(header)
    if head.type.startswith("multipart/") and not head.boundary:
        met.note(Fault.MIME, "MIME error: error: multipart boundary is missing")
    return None if met.gravest is None else BadHeader(met.gravest, met.text)


def _check_continuation(line: bytes, field: bytes, met: _Met) -> None:
    if not line.strip(b" \t"):
        text = f"Improper folded header field made up entirely of whitespace (char {line[0]:02X} hex)"
        met.note(Fault.EMPTY, text, field)


def _check_characters(line: bytes, met: _Met) -> None:
    if len(line) > LINE_LIMIT:
        met.note(Fault.LONG, f"Header line longer than {LINE_LIMIT} characters", line)
    if line.isascii() and b"\0" not in line and b"\r" not in line:
        return
    for byte in (0, 13):
        if byte in line:
            met.note(Fault.CONTROL, f"Improper use of control character (char {byte:02X} hex)", line)
            return
    try:
        line.decode()
    except UnicodeDecodeError as error:
        text = f"Non-encoded non-ASCII data (and not UTF-8) (char {line[error.start]:02X} hex)"
        met.note(Fault.EIGHT_BIT, text, line)


def _check_fields(seen: dict[bytes, int], met: _Met) -> None:
    for name in _REQUIRED:
        if name.lower() not in seen:
            met.note(Fault.MISSING, f'Missing required header field: "{name.decode()}"')
    for name in _ONCE:
        if seen.get(name.lower(), 0) > 1:
            met.note(Fault.MULTIPLE, f'Duplicate header field: "{name.decode()}"')


def _shown(line: bytes) -> str:
    """The beginning of a line, printable."""
    text = "".join(
        chr(byte) if 32 <= byte < 127 else f"\\x{{{byte:02X}}}" if byte > 127 else " " for byte in line[:SHOWN]
    )
    return text if len(line) <= SHOWN else f"{text}[...]"


def _character(byte: int) -> str:
    if byte > 127:
        return f"\\x{{{byte:02X}}}"
    return chr(byte) if 32 <= byte < 127 else " "
