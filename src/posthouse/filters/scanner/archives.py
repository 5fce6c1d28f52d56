"""What is inside zip, tar, gzip, bzip2 and xz archives: names and kinds of their members, within hard limits."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from posthouse.filters.scanner.file_types import PEEK, short_types
from posthouse.filters.scanner.limits import Budget, TooMuch
from posthouse.filters.scanner.message_parts import Component, Path
from posthouse.filters.scanner.tar_members import tar_members

KINDS = frozenset(("zip", "gz", "bz2", "xz", "tar"))
_PIECE = 1 << 16
_MEMORY = 1 << 20  # bytes of an unpacked archive that are kept in memory
_DIRECTORY_LIMIT = 4_000_000  # bytes of a zip's directory
_BROKEN = (
    zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError, struct.error, ValueError,
    NotImplementedError, RuntimeError, OverflowError, IndexError, KeyError,
)  # fmt: skip


class Undecipherable(Exception):
    """An archive that cannot be looked into: broken, or encrypted."""


def members(file: BinaryIO, path: Path, budget: Budget) -> Iterator[Path]:
    """The paths of all members, of archives within it, too; file can be sought in. Raises TooMuch, Undecipherable."""
    kinds = path[-1].kinds
    budget.take_level(len(path) + 1)
    try:
        if "zip" in kinds:
            yield from _zip(file, path, budget)
        elif "tar" in kinds:
            yield from _tar(file, path, budget)
        elif "gz" in kinds:
            yield from _single(cast("BinaryIO", gzip.GzipFile(fileobj=file, mode="rb")), path, budget)
        elif "bz2" in kinds:
            yield from _single(cast("BinaryIO", bz2.BZ2File(file)), path, budget)
        elif "xz" in kinds:
            with lzma.LZMAFile(file) as opened:
                yield from _single(cast("BinaryIO", opened), path, budget)
    except _BROKEN as error:
        raise Undecipherable(f"{path[-1].shown}: {_words(error)}") from error


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())[:80]
    return "encrypted" if "encrypted" in text or "password" in text else text or type(error).__name__


def _zip(file: BinaryIO, path: Path, budget: Budget) -> Iterator[Path]:
    _look_at_directory(file)
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        encrypted = ""
        for _ in infos:
            budget.take_file()
        try:
            budget.take_bytes(sum(info.file_size for info in infos))
        except TooMuch:  # the names are known all the same
            yield from ((*path, Component("", (info.filename,))) for info in infos)
            raise
        for info in infos:
            if info.flag_bits & 1:
                encrypted = info.filename
                yield (*path, Component("", (info.filename,)))
            elif info.is_dir():
                yield (*path, Component("", (info.filename,)))
            else:
                with archive.open(info) as member:
                    yield from _member(cast("BinaryIO", member), info.filename, path, budget)
        if encrypted:
            raise Undecipherable(f"{path[-1].shown}: {encrypted[:80]} is encrypted")


def _look_at_directory(file: BinaryIO) -> None:
    """A directory of a million members would fill the memory: its size stands in the archive's last record."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 66_000))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) >= at + 16 and struct.unpack_from("<I", tail, at + 12)[0] > _DIRECTORY_LIMIT:
        raise TooMuch("an archive with too many members")
    file.seek(0)


def _tar(file: BinaryIO, path: Path, budget: Budget) -> Iterator[Path]:
    for name, begin, size in tar_members(file):
        budget.take_file()
        budget.take_bytes(size)
        if size:
            file.seek(begin)
            yield from _member(cast("BinaryIO", _Stretch(file, begin, size)), name, path, budget)
        else:
            yield (*path, Component("", (name,)))


def _single(file: BinaryIO, path: Path, budget: Budget) -> Iterator[Path]:
    """A compressed file: its name without the last extension."""
    budget.take_file()
    name = next(iter(path[-1].names), "")
    stem, dot, extension = name.rpartition(".")
    inner = f"{stem}.tar" if extension.lower() in ("tgz", "tbz", "txz") else stem if dot else name
    yield from _member(file, inner, path, budget)


def _member(file: BinaryIO, name: str, path: Path, budget: Budget) -> Iterator[Path]:
    start = file.read(PEEK)
    kinds = short_types(start)
    inner = (*path, Component("", (name,) if name else (), kinds))
    yield inner
    if not KINDS.intersection(kinds):
        return
    with tempfile.SpooledTemporaryFile(_MEMORY) as unpacked:
        unpacked.write(start)
        while piece := file.read(_PIECE):
            budget.take_bytes(len(piece))
            unpacked.write(piece)
        unpacked.seek(0)
        yield from members(cast("BinaryIO", unpacked), inner, budget)


class _Stretch(io.RawIOBase):
    """A part of a file, as a file; others may read in it meanwhile."""

    def __init__(self, file: BinaryIO, begin: int, size: int) -> None:
        self._file, self._at, self._left = file, begin, size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self._file.seek(self._at)
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        if not data and self._left and size:
            raise EOFError("the archive ends too early")
        self._at += len(data)
        self._left -= len(data)
        return data
