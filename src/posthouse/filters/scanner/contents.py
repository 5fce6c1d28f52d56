"""All that is in a message, in one list: its parts, what is uuencoded in them, and the members of their archives."""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from posthouse.filters.scanner.archives import KINDS, Undecipherable, members
from posthouse.filters.scanner.limits import Budget, Limits, TooMuch
from posthouse.filters.scanner.message_parts import (
    Component,
    Data,
    Leaf,
    Path,
    decoded,
    leaves,
    peeked,
    uuencoded_names,
)
from posthouse.mail.content import Content, FilePart

_MEMORY = 1 << 20


@dataclass(frozen=True, slots=True)
class Contents:
    """The parts that were seen. unchecked says why some were not ("" all were)."""

    parts: tuple[Path, ...] = ()
    unchecked: str = ""


def look_through(content: Content, limits: Limits, *, in_archives: bool) -> Contents:
    """Everything in a message, up to the limits. Takes its time: a large one is for a thread. Raises OSError."""
    budget = Budget(limits, content.size)
    found: list[Path] = []
    troubles: list[str] = []
    with _opened(content.body) as data:
        try:
            for leaf in leaves(content.header, data, budget):
                found.extend(_in_leaf(leaf, data, budget, troubles, in_archives=in_archives))
        except TooMuch as too_much:
            troubles.append(str(too_much))
    return Contents(tuple(found), "; ".join(troubles)[:400])


def _in_leaf(leaf: Leaf, data: Data, budget: Budget, troubles: list[str], *, in_archives: bool) -> Iterator[Path]:
    path, _ = peeked(leaf, data)
    yield path
    for name in uuencoded_names(leaf, data):
        budget.take_file()
        yield (*path, Component("", (name,)))
    if not in_archives or not KINDS.intersection(path[-1].kinds):
        return
    with tempfile.SpooledTemporaryFile(_MEMORY) as file:
        for piece in decoded(leaf, data):
            file.write(piece)
        file.seek(0)
        try:
            yield from members(cast("BinaryIO", file), path, budget)
        except Undecipherable as trouble:
            troubles.append(str(trouble))


@contextlib.contextmanager
def _opened(body: bytes | FilePart) -> Iterator[Data]:
    if isinstance(body, bytes):
        yield body
        return
    with open(body.path, "rb") as file:
        if body.offset or not body.length:
            file.seek(body.offset)
            yield file.read(body.length)
            return
        with mmap.mmap(file.fileno(), body.length, access=mmap.ACCESS_READ) as data:
            yield data
