"""How many 4 KB messages a second the queue store takes in and lets go, durably, and what each costs in CPU.

python bench/store_probe.py [DIRECTORY]     # on the file system to be measured
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time

import uvloop

from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Origin, Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.queue.queue_id import QueueIds
from posthouse.queue.sqlite import SqliteStore
from posthouse.queue.store import Settlement

BODY = b"\n" + (b"x" * 70 + b"\n") * 56
HEADER = b"Received: from a\n\tby b; date\nFrom: <a@example.com>\nSubject: x\n"
ORIGIN = Origin("client.example.net", "192.0.2.1", "25", "client.example.net", "ESMTP", source="REMOTE")


async def measure(putters: int, messages: int) -> None:
    """Put and settle as many messages, by as many tasks, and print the rate."""
    directory = tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else "/var/tmp")
    store = SqliteStore(f"{directory}/posthouse/queue-0.sqlite", f"{directory}/posthouse/spool")
    ends: set[asyncio.Future[None]] = set()
    ids, left, slowest = QueueIds(0), messages, 0.0

    async def one() -> None:
        nonlocal left, slowest
        while left > 0:
            left -= 1
            envelope = Envelope("a@example.com", (Recipient("x@example.net"),), origin=ORIGIN)
            content = Content(HEADER, BODY)
            message = QueuedMessage(ids.new(), time.time(), envelope, content, content.size)
            begin = time.monotonic()
            await store.put(message)
            slowest = max(slowest, time.monotonic() - begin)
            # As in the house, nobody waits for the end of a message.
            end = asyncio.ensure_future(store.settle(Settlement(message.queue_id, frozenset((0,)), finished=True)))
            ends.add(end)
            end.add_done_callback(ends.discard)

    begin, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(one() for _ in range(putters)))
    await asyncio.gather(*ends)
    elapsed, cpu = time.monotonic() - begin, time.process_time() - cpu
    size = sum(entry.stat().st_size for entry in os.scandir(f"{directory}/posthouse") if entry.is_file())
    print(
        f"{putters:3} putters: {messages / elapsed:6.0f}/s, {cpu / messages * 1e6:4.0f} us CPU,"
        f" slowest put {slowest * 1000:.0f} ms, files {size / 1e6:.0f} MB"
    )
    await store.close()
    shutil.rmtree(directory)


if __name__ == "__main__":
    for putters, messages in ((1, 1500), (10, 10_000), (50, 20_000)):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(putters, messages))
