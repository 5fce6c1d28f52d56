#!/usr/bin/env python3
"""An SMTP server for bad weather: at any step it may hang, close, talk nonsense, flood, or refuse.

    bench/faulty_far_end.py PORT EVENTS [--fair]

Writes a line to EVENTS for each recipient of each message: "acked TIME SUBJECT RECIPIENT" once the client can know that
the message was taken, "taken TIME ..." where the client was left without an answer. While a file EVENTS.fair exists
the weather is fair.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from typing import TextIO

STEPS = ("connect", "ehlo", "mail", "rcpt", "data", "dot")
FAULTS = ("close", "hang", "garbage", "flood", "endless line", "4xx", "5xx", "silence after dot", "close after dot")
FAULT_RATE = 0.45
HANG_S = 20.0
GARBAGE = (b"\0\xff\xfe\r\n", b"hello there\r\n", b"25\r\n", b"999 what\r\n", b"250\xa0ok\r\n250", b"\r\n\r\n")


class Gone(Exception):
    """The session ends here."""


class Session:
    """One connection, with one fault at most."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, events: TextIO, *, fair: bool
    ) -> None:
        self.reader, self.writer, self.events = reader, writer, events
        wanted = not fair and random.random() < FAULT_RATE
        self.fault = random.choice(FAULTS) if wanted else ""
        self.step = random.choice(STEPS)
        self.picky = not fair and random.random() < 0.15
        self.recipients: list[str] = []

    async def run(self) -> None:
        await self.say("connect", b"220 far.test ESMTP\r\n")
        while line := await self.reader.readline():
            word = line[:4].upper()
            if word == b"EHLO":
                await self.say("ehlo", b"250-far.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n")
            elif word == b"HELO":
                await self.say("ehlo", b"250 far.test\r\n")
            elif word == b"MAIL":
                self.recipients = []
                await self.say("mail", b"250 2.1.0 Ok\r\n")
            elif word == b"RCPT":
                await self.rcpt(line.decode().partition("<")[2].partition(">")[0])
            elif word == b"DATA":
                if not self.recipients:
                    await self.say("", b"554 5.5.1 no valid recipients\r\n")
                    continue
                if await self.say("data", b"354 go on\r\n"):
                    await self.content()
            elif word == b"QUIT":
                await self.say("", b"221 bye\r\n")
                return
            else:
                await self.say("", b"250 Ok\r\n")

    async def rcpt(self, address: str) -> None:
        if self.picky and random.random() < 0.6:
            permanent = random.random() < 0.5
            await self.say("", b"550 5.1.1 no such user\r\n" if permanent else b"450 4.2.1 not today\r\n")
        elif await self.say("rcpt", b"250 2.1.5 Ok\r\n"):
            self.recipients.append(address)

    async def content(self) -> None:
        text = await self.reader.readuntil(b"\r\n.\r\n")
        subject = text.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()
        if self.fault in ("silence after dot", "close after dot"):
            self.note("taken", subject)
            if self.fault == "silence after dot":
                await asyncio.sleep(HANG_S)
            raise Gone
        if self.step == "dot" and self.fault in ("hang", "close", "garbage", "flood", "endless line"):
            self.note("taken", subject)
        if await self.say("dot", b"250 2.0.0 Ok\r\n"):
            self.note("acked", subject)
        self.recipients = []

    def note(self, what: str, subject: str) -> None:
        for address in self.recipients:
            self.events.write(f"{what} {time.time()} {subject} {address}\n")
        self.events.flush()

    async def say(self, step: str, reply: bytes) -> bool:
        """The reply, or the fault that is due at this step; whether it was the reply."""
        if step != self.step or not self.fault:
            self.writer.write(reply)
            await self.writer.drain()
            return True
        await self.misbehave()
        return False

    async def misbehave(self) -> None:
        match self.fault:
            case "close":
                raise Gone
            case "hang":
                await asyncio.sleep(HANG_S)
                raise Gone
            case "garbage":
                self.writer.write(random.choice(GARBAGE))
            case "flood":
                for _ in range(2000):
                    self.writer.write(b"250-and another thing\r\n" * 50)
                    await self.writer.drain()
                raise Gone
            case "endless line":
                for _ in range(200):
                    self.writer.write(b"2" * 10_000)
                    await self.writer.drain()
                raise Gone
            case "5xx":
                self.writer.write(b"554 5.7.1 I do not like this\r\n")
            case _:
                self.writer.write(b"451 4.3.0 try again\r\n")
        await self.writer.drain()


async def main(port: int, path: str, events: TextIO) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Session(reader, writer, events, fair=is_fair(path)).run()
        except (Gone, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", port, limit=1 << 22, backlog=1000)
    async with server:
        await server.serve_forever()


def is_fair(path: str) -> bool:
    return os.path.exists(f"{path}.fair")


if __name__ == "__main__":
    with open(sys.argv[2], "a") as file:
        asyncio.run(main(int(sys.argv[1]), sys.argv[2], file))
