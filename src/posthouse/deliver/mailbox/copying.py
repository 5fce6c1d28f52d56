"""The content of a message as a file or a command wants it: quoted "From " lines, doubled dots, other line ends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from posthouse.deliver.agent_host.wire import Piece

CHUNK = 1 << 18


def chunks(pieces: Sequence[Piece]) -> Iterator[bytes]:
    """The bytes of the pieces in bounded portions. Raises OSError."""
    for piece in pieces:
        if piece.file < 0:
            if len(piece.data):
                yield bytes(piece.data)
            continue
        at, left = piece.offset, piece.length
        while left > 0:
            chunk = os.pread(piece.file, min(left, CHUNK), at)
            if not chunk:
                return
            at, left = at + len(chunk), left - len(chunk)
            yield chunk


def adapted(pieces: Sequence[Piece], *, quote_from: bool, double_dots: bool, eol: bytes) -> Iterator[bytes]:
    """The content line by line adapted, in bounded portions; the last line is ended where it was not."""
    starts_line = True
    held = b""
    last = b"\n"
    for chunk in chunks(pieces):
        portion = held + chunk
        cut = portion.rfind(b"\n") + 1
        if cut == 0 and len(portion) < CHUNK:
            held = portion
            continue
        # A line longer than a portion goes out in parts; only its first part can begin with "From ".
        ready, held = (portion[:cut], portion[cut:]) if cut else (portion, b"")
        yield _adapt(ready, starts_line, quote_from, double_dots, eol)
        starts_line, last = ready.endswith(b"\n"), ready[-1:]
    if held:
        yield _adapt(held, starts_line, quote_from, double_dots, eol)
        last = held[-1:]
    if last != b"\n":
        yield eol


def _adapt(text: bytes, starts_line: bool, quote_from: bool, double_dots: bool, eol: bytes) -> bytes:
    if quote_from:
        text = _mark(text, b"From ", b">", starts_line)
    if double_dots:
        text = _mark(text, b".", b".", starts_line)
    return text if eol == b"\n" else text.replace(b"\n", eol)


def _mark(text: bytes, beginning: bytes, mark: bytes, starts_line: bool) -> bytes:
    text = text.replace(b"\n" + beginning, b"\n" + mark + beginning)
    return mark + text if starts_line and text.startswith(beginning) else text
