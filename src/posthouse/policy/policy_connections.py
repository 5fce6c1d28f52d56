"""Serves the policy delegation protocol (SMTPD_POLICY_README) to a mail server's connections, with every bound kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

MAX_REQUEST = 65536  # bytes; a mail server's own limits keep requests far below
MAX_SKIPPED = 64 << 20  # bytes of one request that are read and thrown away before the connection is given up
MAX_CONNECTIONS = 4000
_END = b"\n\n"

Answer = Callable[[dict[str, str]], Awaitable[str]]
Complain = Callable[[str], None]


class PolicyConnections:
    """Answers each request with what answer(attributes) says. complain hears of lines that are no name=value, and of
    requests that are too long, which are answered with DUNNO: the mail passes.
    """

    def __init__(self, answer: Answer, complain: Complain, *, one_request: bool = False) -> None:
        self._answer, self._complain, self._one_request = answer, complain, one_request
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first request to its end."""
        if len(self._open) >= MAX_CONNECTIONS:
            self._complain(f"more than {MAX_CONNECTIONS} connections")
            writer.close()
            return
        self._open.add(writer)

        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            await self.exchange(reader, write)
        except (OSError, EOFError):
            pass  # the client has hung up
        finally:
            self._open.discard(writer)
            writer.close()

    async def exchange(self, reader: asyncio.StreamReader, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Answer what reader brings, until its end. Raises OSError and EOFError."""
        while (block := await self._request(reader)) is not None:
            action = await self._answer(self._parse(block)) if block else "DUNNO"
            await write(f"action={one_line(action)}\n\n".encode("utf-8", "surrogateescape"))
            if self._one_request:
                break

    def close(self) -> None:
        """End all connections."""
        for writer in tuple(self._open):
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> bytes | None:
        """The next request; b"" for one that is too long, None at the end."""
        skipped = 0
        while True:
            try:
                block = await reader.readuntil(_END)
            except asyncio.LimitOverrunError as problem:
                skipped += problem.consumed
                if skipped > MAX_SKIPPED:
                    self._complain(f"request of more than {MAX_SKIPPED} bytes; connection closed")
                    return None
                await reader.readexactly(problem.consumed)
                continue
            except asyncio.IncompleteReadError:
                return None
            if skipped or len(block) > MAX_REQUEST:
                self._complain(f"request of {skipped + len(block)} bytes is passed over")
                return b""
            return block

    def _parse(self, block: bytes) -> dict[str, str]:
        attributes: dict[str, str] = {}
        for line in block.decode("utf-8", "surrogateescape").split("\n"):
            if not line:
                continue
            name, sign, value = line.rstrip("\r").partition("=")
            if sign and name:
                attributes[name] = value
            else:
                self._complain(f"ignoring garbage: <{line[:100]}>")
        return attributes


def one_line(text: str) -> str:
    """The text without line ends and NUL."""
    return text.translate({10: " ", 13: " ", 0: " "})
