"""The index of a hash: or btree: table, an LMDB file beside the text (docs/decisions/table_index.md).

A new index is written beside the old one and renamed over it: a reader never sees half a table, and keeps the one it
has until it looks again. Readers take no lock and need no write access.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import lmdb

_KEY_LIMIT = 500  # bytes; LMDB takes 511
_LONG_KEY = b"\xff#"  # stands before the digest of a longer key; the key itself then stands before the value
_MAGIC = b"\xde\xc0\xef\xbe"
_MAGIC_OFFSET = 16
_SIZE_LEAST = 16 << 20
_IN_MEMORY_BYTES = 4 << 20  # an index up to this size is held in memory


def is_index(path: str) -> bool:
    """Whether the file is an index of ours, and not, say, one of Berkeley DB. OSError where it cannot be read."""
    with open(path, "rb") as file:
        head = file.read(_MAGIC_OFFSET + 4)
    return head[_MAGIC_OFFSET:] == _MAGIC


def _stored(key: str, value: str) -> tuple[bytes, bytes]:
    raw, content = key.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")
    if len(raw) <= _KEY_LIMIT and not raw.startswith(_LONG_KEY):
        return raw, content
    return _digest(raw), raw + b"\0" + content


def _digest(raw: bytes) -> bytes:
    return _LONG_KEY + hashlib.sha256(raw).digest()


def _shown(raw: bytes, content: bytes) -> tuple[str, str]:
    if raw.startswith(_LONG_KEY):
        raw, _, content = content.partition(b"\0")
    return _text(raw), _text(content)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape").rstrip("\0")


class IndexReader:
    """An index open for reading. get is the quickest way to a value; it holds small indexes in memory."""

    def __init__(self, path: str) -> None:
        """Raises OSError or lmdb.Error for a file that is no index."""
        size = os.stat(path).st_size
        self._environment = _open_for_reading(path)
        self._transaction = self._environment.begin(buffers=False)
        self._small: dict[str, str] | None = None
        self.get: Callable[[str], str | None] = self._get
        if size <= _IN_MEMORY_BYTES:
            self._small = dict(self.entries())
            self.get = self._small.get
            self._transaction.abort()
            self._environment.close()

    def _get(self, key: str) -> str | None:
        raw = key.encode("utf-8", "surrogateescape")
        if len(raw) > _KEY_LIMIT or raw.startswith(_LONG_KEY):
            content = self._transaction.get(_digest(raw))
            return None if content is None else _text(content.partition(b"\0")[2])
        content = self._transaction.get(raw)
        if content is None:
            content = self._transaction.get(raw + b"\0")  # as postmap -N and Postfix itself write it
            if content is None:
                return None
        return _text(content)

    def entries(self) -> Iterator[tuple[str, str]]:
        """All keys and values, in the order of the keys' bytes."""
        if self._small is not None:
            yield from self._small.items()
            return
        with self._environment.begin() as transaction:
            for raw, content in transaction.cursor():
                yield _shown(raw, content)


def _open_for_reading(path: str) -> Any:
    return lmdb.open(path, subdir=False, readonly=True, lock=False, create=False, max_spare_txns=0)


class IndexWriter:
    """A new index in the making. It takes the old one's place when the block ends without an exception.

    with_null: keys and values end with a null byte in the file (postmap -N). content_bytes is an estimate of all of it.
    """

    def __init__(self, path: str, *, content_bytes: int, mode: int, with_null: bool = False) -> None:
        self._path, self._new = path, f"{path}.{os.getpid()}.new"
        self._mode, self._end = mode, b"\0" if with_null else b""
        self._size = max(_SIZE_LEAST, 16 * content_bytes)

    def __enter__(self) -> Self:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._new)
        os.close(os.open(self._new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        self._environment = lmdb.open(self._new, subdir=False, map_size=self._size, lock=False, sync=False)
        self._transaction = self._environment.begin(write=True)
        return self

    def add(self, key: str, value: str, *, replace: bool = False) -> bool:
        """Whether it was stored: False where the key is there already and replace is not asked for."""
        raw, content = _stored(key, value)
        stored: bool = self._transaction.put(raw + self._end, content + self._end, overwrite=replace)
        return stored

    def remove(self, key: str) -> bool:
        """Whether the key was there."""
        raw = _stored(key, "")[0]
        plain: bool = self._transaction.delete(raw)
        ended: bool = self._transaction.delete(raw + b"\0")
        return plain or ended

    def add_all(self, entries: Iterable[tuple[str, str]]) -> None:
        for key, value in entries:
            self.add(key, value)

    def give_to(self, user: int, group: int) -> None:
        """Make the new file belong to somebody else."""
        os.chown(self._new, user, group)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._transaction.abort()
            self._environment.close()
            with contextlib.suppress(OSError):
                os.unlink(self._new)
            return
        self._transaction.commit()
        self._environment.sync(True)
        self._environment.close()
        os.chmod(self._new, self._mode)
        os.rename(self._new, self._path)
