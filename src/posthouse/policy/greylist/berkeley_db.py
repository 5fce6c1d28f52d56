"""Reads the databases of a postgrey that has been stopped (Berkeley DB B-trees), without any library; pure.

What Berkeley DB has only in its log (after a crash of postgrey) is not seen.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from posthouse.errors import ProtocolError
from posthouse.policy.greylist.store import Entry, Kept, Kind

_BTREE_MAGIC = 0x053162
_HEAD = 26
_LEAF, _KEYDATA, _DELETED, _OVERFLOW, _OVERFLOW_PAGE = 5, 1, 0x80, 3, 7
_MAX_ITEM = 1 << 20


def pairs(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a B-tree's file. Raises ProtocolError for what is none."""
    order = _byte_order(data)
    size = struct.unpack_from(f"{order}I", data, 20)[0]
    if not 512 <= size <= 65536 or len(data) < size:
        raise ProtocolError("not a Berkeley DB file: impossible page size")
    for start in range(0, len(data) - size + 1, size):
        if data[start + 25] == _LEAF:
            try:
                yield from _leaf(data, start, size, order)
            except (struct.error, IndexError) as problem:
                raise ProtocolError(f"page {start // size} is damaged") from problem


def triplets(data: bytes) -> Iterator[Kept]:
    """The entries of postgrey.db: client/sender/recipient -> first,last. What is no such entry is left out."""
    for key, value in pairs(data):
        first, comma, last = value.partition(b",")
        if comma and first.isdigit() and last.isdigit():
            yield Kept(Kind.TRIPLET, key.decode("utf-8", "surrogateescape"), Entry(int(first), int(last)))


def clients(data: bytes) -> Iterator[Kept]:
    """The entries of postgrey_clients.db: address -> count,last."""
    for key, value in pairs(data):
        count, comma, last = value.partition(b",")
        if comma and count.isdigit() and last.isdigit():
            yield Kept(Kind.CLIENT, key.decode("utf-8", "surrogateescape"), Entry(int(last), int(last), int(count)))


def _byte_order(data: bytes) -> str:
    for order in "<", ">":
        if len(data) >= 72 and struct.unpack_from(f"{order}I", data, 12)[0] == _BTREE_MAGIC:
            return order
    raise ProtocolError("not a Berkeley DB B-tree")


def _leaf(data: bytes, start: int, size: int, order: str) -> Iterator[tuple[bytes, bytes]]:
    count = struct.unpack_from(f"{order}H", data, start + 20)[0]
    if _HEAD + 2 * count > size:
        raise ProtocolError(f"page {start // size} is damaged")
    places = struct.unpack_from(f"{order}{count}H", data, start + _HEAD)
    for key_at, value_at in zip(places[::2], places[1::2], strict=False):
        if not (data[start + key_at + 2] | data[start + value_at + 2]) & _DELETED:
            yield _item(data, (start, size), key_at, order), _item(data, (start, size), value_at, order)


def _item(data: bytes, page: tuple[int, int], at: int, order: str) -> bytes:
    start, size = page
    length, kind = struct.unpack_from(f"{order}HB", data, start + at)
    if kind == _KEYDATA:
        if at + 3 + length > size:
            raise ProtocolError(f"page {start // size} is damaged")
        return data[start + at + 3 : start + at + 3 + length]
    if kind == _OVERFLOW:
        number, total = struct.unpack_from(f"{order}II", data, start + at + 4)
        return _overflow(data, size, number, min(total, _MAX_ITEM), order)
    return b""


def _overflow(data: bytes, size: int, number: int, total: int, order: str) -> bytes:
    """An item that fills pages of its own, each of which names the next."""
    found = b""
    for _ in range(_MAX_ITEM // 486):
        start = number * size
        if not number or start + size > len(data) or data[start + 25] != _OVERFLOW_PAGE:
            break
        length = struct.unpack_from(f"{order}H", data, start + 22)[0]
        found += data[start + _HEAD : start + _HEAD + length]
        if len(found) >= total:
            break
        number = struct.unpack_from(f"{order}I", data, start + 16)[0]
    return found[:total]
