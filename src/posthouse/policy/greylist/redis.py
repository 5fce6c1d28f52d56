"""Greylisting's memory in a Redis server (or one that speaks its protocol), shared by several machines.

One key for each entry, "posthouse:greylist:<kind>:<key>" with the value "first,last,times"; Redis forgets it by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

from posthouse.policy.greylist.store import Entry, Kept, Kind, StoreFailed

PREFIX = "posthouse:greylist:"
TIMEOUT_S = 2.0
_MAX_LINE = 1 << 20
_MAX_ITEMS = 100_000
_BATCH = 500

Reply = bytes | int | list["Reply"] | None


class RedisStore:
    """The contract of store.Store. Connects when first asked; one connection, used by one question at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 6379
            self._number = int(parts.path.strip("/") or 0)
        except ValueError as problem:
            raise StoreFailed(f"{url}: {problem}") from problem
        self._is_encrypted = parts.scheme == "rediss"
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def get(self, kind: Kind, key: str) -> Entry | None:
        value = await self._ask("GET", _name(kind, key))
        return _entry(value) if isinstance(value, bytes) else None

    async def put(self, kind: Kind, key: str, entry: Entry, lifetime: int) -> None:
        await self._ask(*_setting(Kept(kind, key, entry), lifetime))

    async def put_many(self, kept: list[Kept], lifetime: int) -> None:
        for start in range(0, len(kept), _BATCH):
            await self._ask_many([_setting(one, lifetime) for one in kept[start : start + _BATCH]])

    async def delete(self, kind: Kind, key: str) -> bool:
        return bool(await self._ask("DEL", _name(kind, key)))

    async def expire(self, now: int, limit: int) -> int:  # noqa: ARG002
        """Nothing to do: Redis does it."""
        return 0

    async def scan(self, kind: Kind | None, text: str) -> AsyncIterator[Kept]:
        cursor, pattern = b"0", f"{PREFIX}{'' if kind is None else kind.value + ':'}*"
        while True:
            reply = await self._ask("SCAN", cursor.decode(), "MATCH", pattern, "COUNT", "1000")
            if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[0], bytes):
                raise StoreFailed("Redis: unexpected answer to SCAN")
            cursor, names = reply[0], reply[1]
            for name in names if isinstance(names, list) else ():
                if isinstance(name, bytes) and (found := await self._kept(name, text)) is not None:
                    yield found
            if cursor == b"0":
                return

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    async def _kept(self, name: bytes, text: str) -> Kept | None:
        kind, _, key = name.decode("utf-8", "surrogateescape").removeprefix(PREFIX).partition(":")
        if text.lower() not in key.lower():
            return None
        value = await self._ask("GET", name.decode("utf-8", "surrogateescape"))
        entry = _entry(value) if isinstance(value, bytes) else None
        return None if entry is None else Kept(Kind(kind), key, entry)

    async def _ask(self, *words: str) -> Reply:
        return (await self._ask_many([words]))[0]

    async def _ask_many(self, commands: list[tuple[str, ...]]) -> list[Reply]:
        async with self._turn:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    reader, writer = self._streams or await self._connect()
                    writer.write(b"".join(_command(words) for words in commands))
                    replies = [await _read(reader) for _ in commands]
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as problem:
                await self.close()
                raise StoreFailed(
                    f"Redis at {self._host}:{self._port}: {problem or type(problem).__name__}"
                ) from problem
            except BaseException:
                await self.close()  # half an answer may be on its way
                raise
        return replies

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            self._host, self._port, limit=_MAX_LINE, ssl=True if self._is_encrypted else None
        )
        self._streams = reader, writer
        first = [("AUTH", *filter(None, (self._user, self._password)))] if self._password else []
        for words in (*first, ("SELECT", str(self._number))):
            writer.write(_command(words))
            await _read(reader)
        return reader, writer


def _name(kind: Kind, key: str) -> str:
    return f"{PREFIX}{kind.value}:{key}"


def _setting(kept: Kept, lifetime: int) -> tuple[str, ...]:
    first, last, times = kept.entry
    return (
        "SET", _name(kept.kind, kept.key), f"{first},{last},{times}", "EXAT", str(last + max(lifetime, 1)),
    )  # fmt: skip


def _entry(value: bytes) -> Entry | None:
    try:
        first, last, times = value.split(b",")
        return Entry(int(first), int(last), int(times))
    except ValueError:
        return None


def _command(words: tuple[str, ...]) -> bytes:
    parts = [word.encode("utf-8", "surrogateescape") for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


async def _read(reader: asyncio.StreamReader, depth: int = 0) -> Reply:
    """One reply (RESP2). Raises StoreFailed for an error that Redis reports, ValueError for nonsense."""
    line = (await reader.readuntil(b"\r\n"))[:-2]
    sign, rest = line[:1], line[1:]
    if sign == b"+":
        return rest
    if sign == b"-":
        raise StoreFailed(f"Redis: {rest.decode('utf-8', 'replace')[:200]}")
    number = int(rest)
    if sign == b":":
        return number
    if number < 0:
        return None
    if sign == b"$" and number <= _MAX_LINE:
        return (await reader.readexactly(number + 2))[:-2]
    if sign == b"*" and number <= _MAX_ITEMS and depth < 4:
        return [await _read(reader, depth + 1) for _ in range(number)]
    raise ValueError("unexpected reply")
