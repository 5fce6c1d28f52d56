"""Answers postqueue, mailq and postsuper while the mail system runs (showq(8), and qmgr's trigger socket).

One request per connection, a line of JSON; the answer is lines of JSON, the last of which is {"end": ...}.
Anybody may list and flush; the private socket, in a folder that only root and mail_owner can enter, serves the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from posthouse.errors import TemporaryFailure
from posthouse.mail.content import Content, FilePart
from posthouse.mail.message import QueuedMessage
from posthouse.maillog import qmgr as says
from posthouse.queue import maildrop, places, spool
from posthouse.queue.qmgr.manager import QueueManager
from posthouse.queue.queue_id import is_queue_id
from posthouse.queue.store import Listed, QueueName, QueueStore, Settlement
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Discarded, Refused, Skip, Submission
from posthouse.system.dates import mail_date
from posthouse.system.files import give_second_name

_REQUEST_LIMIT = 8 * 1024 * 1024  # a line with many queue ids
_PATIENCE_S = 30.0
_LOOK_S = 0.5


class Share(Protocol):
    """A store with its scheduler."""

    @property
    def store(self) -> QueueStore: ...

    @property
    def queue_manager(self) -> QueueManager: ...


class QueueControl:
    """The sockets of one worker. shares() are the stores that it owns at the moment; number is that of its own."""

    def __init__(self, house: House, shares: Callable[[], Sequence[Share]], number: int) -> None:
        self._house, self._shares, self._number = house, shares, number
        self._directory = house.settings.text("queue_directory")
        self._servers: list[asyncio.Server] = []
        self._paths: list[str] = []
        self._task: asyncio.Task[None] | None = None
        pickup = next((service for service in house.services if service.command == "pickup"), None)
        self._interval = pickup.wakeup if pickup is not None and pickup.wakeup else 60
        self._log = house.log(house.settings, "pickup")
        self._public = {"list": self._list, "flush": self._flush, "ping": self._ping}
        self._private = self._public | {"changed": self._changed, "requeue": self._requeue}

    async def serve(self) -> None:
        """Open the sockets. What was to go through cleanup again when the mail system went down goes soon."""
        for kind, mode, actions in ((places.PUBLIC, 0o666, self._public), (places.PRIVATE, 0o600, self._private)):
            path = places.socket_path(self._directory, kind, self._number)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            server = await asyncio.start_unix_server(self._connected(actions), path, limit=_REQUEST_LIMIT)
            os.chmod(path, mode)
            self._servers.append(server)
            self._paths.append(path)
        self._task = asyncio.get_running_loop().create_task(self._take_again_in_time())

    async def _take_again_in_time(self) -> None:
        """Requeued mail goes on when pickup would wake up, and at once where a store is new to this worker."""
        known: set[int] = set()
        next_time = 0.0
        while True:
            found = {id(share.store) for share in self._shares()}
            if found - known or time.monotonic() >= next_time:
                next_time = time.monotonic() + self._interval
                with contextlib.suppress(TemporaryFailure, RuntimeError):
                    await self._requeue({}, None)
            known = found
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Close and remove the sockets."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for server in self._servers:
            server.close()
        for path in self._paths:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._servers, self._paths = [], []

    def _connected(self, actions: dict[str, Any]) -> Callable[..., Awaitable[None]]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    request = json.loads(await reader.readline())
                action = actions.get(request["do"])
                answer = {"error": "not allowed here"} if action is None else await action(request, writer)
                _say(writer, {"end": answer})
                await writer.drain()
            except (OSError, ValueError, KeyError, TypeError, TimeoutError, RecursionError):
                pass  # a peer that does not keep to the form, or went away
            finally:
                writer.close()

        return answer

    async def _ping(self, request: dict[str, Any], writer: Any) -> dict[str, Any]:  # noqa: ARG002
        return {}

    async def _list(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> dict[str, Any]:
        if request.get("maildrop"):
            for waiting in maildrop.listing(self._directory):
                _say(writer, row_of(waiting))
        for share in self._shares():
            active = share.queue_manager.active
            async for listed in share.store.list():
                row = row_of(listed)
                if listed.queue_id in active and listed.queue in (QueueName.INCOMING, QueueName.DEFERRED):
                    row[1] = QueueName.ACTIVE.value
                _say(writer, row)
                if writer.transport.get_write_buffer_size() > 65536:
                    await writer.drain()
        return {}

    async def _flush(self, request: dict[str, Any], writer: Any) -> dict[str, Any]:  # noqa: ARG002
        """All, one message ("id"), or what waits for a destination ("site")."""
        count = 0
        for share in self._shares():
            if "site" in request:
                ids = [row.queue_id async for row in share.store.list() if _goes_to(row, str(request["site"]))]
                count += await share.queue_manager.flush(ids)
            else:
                count += await share.queue_manager.flush(_ids(request, "id") or None)
        return {"count": count}

    async def _changed(self, request: dict[str, Any], writer: Any) -> dict[str, Any]:  # noqa: ARG002
        """A command has changed the stores: these messages are withdrawn; look at the queue now."""
        for share in self._shares():
            share.queue_manager.withdraw(_ids(request, "withdrawn"))
            share.queue_manager.revive()
        return {}

    async def _requeue(self, request: dict[str, Any], writer: Any) -> dict[str, Any]:  # noqa: ARG002
        """Send through cleanup what is marked for it."""
        count = 0
        for share in self._shares():
            for message in await share.store.requeue([]):
                count += await self._take_again(share, message)
        return {"count": count}

    async def _take_again(self, share: Share, message: QueuedMessage) -> int:
        """As Postfix does, like new mail from the mail system's own user."""
        intake, envelope = self._house.intake, message.envelope
        if intake is None:
            return 0
        queue_id, uid = message.queue_id, os.getuid()
        self._log.info(says.picked_up_again(queue_id, uid, envelope.sender, message.queue_id))
        settings = self._house.settings
        received = (
            f"Received: by {settings.text('myhostname')} ({settings.text('mail_name')}, from userid {uid})\n"
            f"\tid {queue_id}; {mail_date(time.time())}\n"
        )
        recipients = tuple(envelope.recipients[index] for index in message.open_recipients)
        try:
            body = self._own_body(message.content.body)
        except OSError:
            return 0
        submission = Submission(
            envelope=type(envelope)(**{**_fields(envelope), "recipients": recipients}),
            content=Content(received.encode() + message.content.header, body),
            arrival=message.arrival,
            queue_id=queue_id,
            skip=Skip.NOTHING,
        )
        taken = await intake.take(submission)
        if not isinstance(taken, Accepted) and isinstance(body, FilePart):
            spool.remove_files([body.path])
        if isinstance(taken, Refused):
            return 0
        # The new one has replaced it, unless a rule discarded it or it went into another store of this worker.
        kept = await share.store.get(queue_id)
        if kept is not None and (isinstance(taken, Discarded) or kept.content.header == message.content.header):
            await share.store.settle(Settlement(queue_id, finished=True))
        elif isinstance(message.content.body, FilePart):
            spool.remove_files([message.content.body.path])
        return 1

    def _own_body(self, body: bytes | FilePart) -> bytes | FilePart:
        """A file gets a second name: the old row and the new one each remove their own. Raises OSError."""
        if not isinstance(body, FilePart) or self._house.intake is None:
            return body
        return replace(body, path=give_second_name(body.path, self._house.intake.new_queue_id()))


def _fields(envelope: Any) -> dict[str, Any]:
    return {name: getattr(envelope, name) for name in envelope.__dataclass_fields__}


def row_of(listed: Listed) -> list[Any]:
    """A message of a listing as it travels: id, queue, arrival, size, forced expiry, sender, [[address, reason]]."""
    return [
        listed.queue_id,
        listed.queue.value,
        listed.arrival,
        listed.size,
        listed.forced_expire,
        listed.sender,
        [list(pair) for pair in listed.recipients],
    ]


def _say(writer: asyncio.StreamWriter, value: Any) -> None:
    writer.write(json.dumps(value).encode() + b"\n")


def _goes_to(row: Listed, site: str) -> bool:
    wanted = site.lower()
    return any(address.rpartition("@")[2].lower() == wanted for address, _ in row.recipients)


def _ids(request: dict[str, Any], key: str) -> list[str]:
    value = request.get(key, [])
    names = [value] if isinstance(value, str) else list(value)
    return [name for name in names if isinstance(name, str) and is_queue_id(name)]
