"""The members of a tar archive, header by header: names and where the contents lie, in little memory (tar(5))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from posthouse.filters.scanner.limits import TooMuch

_BLOCK = 512
_NAME_LIMIT = 65_536  # bytes of a long name, or of a pax header
_REGULAR = frozenset((b"0", b"\0", b"7"))


class BrokenTar(ValueError):
    """What is no tar archive, or ends too early."""


def tar_members(file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """(name, where its content begins, how long it is) of each member; 0 bytes for what is no file.

    The file may be read between two members. Raises BrokenTar and TooMuch.
    """
    at, long_name = 0, ""
    while True:
        file.seek(at)
        block = file.read(_BLOCK)
        if len(block) < _BLOCK or not block.strip(b"\0"):
            if at == 0:
                raise BrokenTar("no tar header")
            return
        _check(block)
        size, kind = _number(block[124:136]), block[156:157]
        begin = at + _BLOCK
        at = begin + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        if kind in (b"L", b"x"):
            long_name = _long_name(file, kind, size) or long_name
        elif kind not in (b"K", b"g"):
            yield long_name or _name(block), begin, size if kind in _REGULAR else 0
            long_name = ""


def _long_name(file: BinaryIO, kind: bytes, size: int) -> str:
    if size > _NAME_LIMIT:
        raise TooMuch("a tar archive with a header too large")
    data = file.read(size)
    if kind == b"L":
        return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    for record in data.split(b"\n"):
        key, is_record, value = record.partition(b" ")[2].partition(b"=")
        if is_record and key == b"path":
            return value.decode("utf-8", "surrogateescape")
    return ""


def _check(block: bytes) -> None:
    """The checksum is over the block with blanks in the checksum's own place."""
    total = sum(block[:148]) + 8 * 32 + sum(block[156:])
    if _number(block[148:156]) != total:
        raise BrokenTar("a tar header with a wrong checksum")


def _number(digits: bytes) -> int:
    if digits[:1] == b"\x80":
        return int.from_bytes(digits[1:], "big")
    text = digits.strip(b"\0 ")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise BrokenTar("a tar header with a bad number") from None


def _name(block: bytes) -> str:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:262] == b"ustar" and block[263:265] == b"00" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")
