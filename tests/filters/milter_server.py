"""A milter for tests: answers by rules, and notes what it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import struct


class MilterServer:
    """rules: letter of the event -> packets (letter and data) that answer it; CLOSE hangs up, SILENT says nothing.

    heard has (letter, data) of all that came, macros not among it; macros has the last ones of each event.
    """

    CLOSE, SILENT = b"close", b"silent"

    def __init__(self, rules=None, negotiation=(6, 0x1FF, 0), symbols=b""):
        self.rules, self.negotiation, self.symbols = rules or {}, negotiation, symbols
        self.heard: list[tuple[str, bytes]] = []
        self.macros: dict[str, dict[str, str]] = {}
        self.server = None
        self.tasks: set[asyncio.Task] = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error):
        self.server.close()
        await self.server.wait_closed()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    @property
    def name(self):
        return f"inet:127.0.0.1:{self.port}"

    @property
    def letters(self):
        return "".join(letter for letter, _ in self.heard)

    def body(self):
        return b"".join(data for letter, data in self.heard if letter == "B")

    def fields(self):
        return [data[:-1].split(b"\0") for letter, data in self.heard if letter == "L"]

    async def _serve(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        try:
            while True:
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                packet = await reader.readexactly(length)
                if not self._answer(chr(packet[0]), packet[1:], writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, letter, data, writer):
        def send(packet):
            writer.write(struct.pack(">I", len(packet)) + packet)

        if letter == "D":
            words = data[1:].decode().split("\0")[:-1]
            self.macros[chr(data[0])] = dict(zip(words[::2], words[1::2], strict=True))
            return True
        self.heard.append((letter, data))
        if letter == "O":
            if isinstance(self.negotiation, bytes):
                writer.write(self.negotiation)
            else:
                send(b"O" + struct.pack(">III", *self.negotiation) + self.symbols)
        elif letter not in "AQK":
            for packet in self.rules.get(letter, (b"c",)):
                if packet == self.CLOSE:
                    return False
                if packet != self.SILENT:
                    send(packet)
        return letter != "Q"


def inserted(index, name, value):
    return b"i" + struct.pack(">I", index) + name + b"\0" + value + b"\0"


def changed(index, name, value):
    return b"m" + struct.pack(">I", index) + name + b"\0" + value + b"\0"
