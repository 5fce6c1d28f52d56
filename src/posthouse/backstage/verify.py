"""Address verification: probes an address by beginning a delivery to it, and remembers the answer (verify(8)).

A probe is a message that is never delivered; it takes the way of real mail, so it finds what that would find.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import lmdb

from posthouse.config.settings import Settings
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Recipient, Trace
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Bounced, Deferred, Sent
from posthouse.services.delivery import Result
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Discarded, Skip, Submission
from posthouse.services.verifying import Reachability, Verified
from posthouse.system.dates import mail_date

_MEMORY = 50000
_MAP_SIZE = 1 << 30
_UNKNOWN = Verified(Reachability.UNKNOWN, "4.2.0", "Address verification in progress")


@dataclass(frozen=True, slots=True)
class Known:
    """What the cache has of an address; updated is the Unix time (s) of the answer."""

    answer: Verified
    updated: float

    def to_bytes(self) -> bytes:
        answer = self.answer
        return f"{answer.reachability.name}:{self.updated:.0f}:{answer.dsn}:{answer.text}".encode("utf-8", "replace")

    @classmethod
    def from_bytes(cls, data: bytes) -> Known | None:
        """None for a record that is damaged or of another program."""
        name, _, rest = data.decode("utf-8", "replace").partition(":")
        updated, _, rest = rest.partition(":")
        dsn, _, text = rest.partition(":")
        if name not in Reachability.__members__ or not updated.isdigit():
            return None
        return cls(Verified(Reachability[name], dsn, text), float(updated))


class AddressVerifier:
    """One per worker. verify() is what restrictions ask, report() what the queue tells when a probe has come back."""

    def __init__(self, settings: Settings, house: House) -> None:
        self._house, self._log = house, house.log(settings, "verify")
        self._wait = settings.integer("address_verify_poll_count") * settings.seconds("address_verify_poll_delay")
        self._keeps_negative = settings.flag("address_verify_negative_cache")
        self._pending_limit = settings.integer("address_verify_pending_request_limit")
        self._sender = settings.text("address_verify_sender")
        self._host_name = settings.text("myhostname")
        self._mail_name = settings.text("mail_name")
        self._expire, self._refresh = (
            {
                True: settings.seconds(f"address_verify_positive_{what}_time"),
                False: settings.seconds(f"address_verify_negative_{what}_time"),
            }
            for what in ("expire", "refresh")
        )
        self._memory: OrderedDict[str, Known] = OrderedDict()
        self._probes: dict[str, asyncio.Future[Verified]] = {}
        self._disk = self._open(settings.text("address_verify_map"))

    async def verify(self, address: str) -> Verified:
        """The answer for an address, probing when nothing fresh is known; waits for a probe as long as
        address_verify_poll_count and address_verify_poll_delay say.
        """
        key = address.lower()
        known = self._recall(key)
        if known is not None:
            age = time.time() - known.updated
            positive = known.answer.reachability is Reachability.REACHABLE
            if age < self._expire[positive]:
                if age >= self._refresh[positive]:
                    await self._probe(key, address)
                return known.answer
        probe = await self._probe(key, address)
        if probe is None:
            return _UNKNOWN
        try:
            async with asyncio.timeout(self._wait):
                return await asyncio.shield(probe)
        except TimeoutError:
            return _UNKNOWN

    def report(self, message: QueuedMessage, results: list[Result]) -> None:
        """A probe's delivery attempt has ended; one good recipient of several is good enough."""
        if not results:
            return
        best = min(results, key=lambda result: (Sent, Bounced, Deferred).index(type(result.outcome)))
        first = message.envelope.recipients[best.index]
        address = first.original or first.address
        status = best.outcome.status
        kinds = {
            Sent: Reachability.REACHABLE,
            Bounced: Reachability.UNREACHABLE,
            Deferred: Reachability.TEMPORARILY_UNREACHABLE,
        }
        self._learn(address, Verified(kinds[type(best.outcome)], status.dsn, status.text))

    async def close(self) -> None:
        for probe in self._probes.values():
            probe.cancel()
        if self._disk is not None:
            self._disk.close()

    def _learn(self, address: str, answer: Verified) -> None:
        key, known = address.lower(), Known(answer, time.time())
        if answer.reachability is Reachability.REACHABLE or self._keeps_negative:
            self._remember(key, known)
            self._write(key, known)
        waiting = self._probes.pop(key, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def _probe(self, key: str, address: str) -> asyncio.Future[Verified] | None:
        """The probe under way for this address, begun now if there is none; None when it cannot be begun."""
        under_way = self._probes.get(key)
        if under_way is not None:
            return under_way
        if len(self._probes) >= self._pending_limit or self._house.intake is None:
            self._log.warning(f"too many address probes under way: not probing {address}")
            return None
        probe: asyncio.Future[Verified] = asyncio.get_running_loop().create_future()
        self._probes[key] = probe
        now = time.time()
        queue_id = self._house.intake.new_queue_id()
        received = f"Received: by {self._host_name} ({self._mail_name})\n\tid {queue_id}; {mail_date(now)}\n"
        taken = await self._house.intake.take(
            Submission(
                envelope=Envelope(self._sender_address(), (Recipient(address),), trace=Trace.PROBE),
                content=Content(received.encode(), b""),
                arrival=now,
                queue_id=queue_id,
                skip=Skip.HEADER_BODY_CHECKS | Skip.MILTERS,
                mail_class="verify",
            )
        )
        if isinstance(taken, Discarded):  # cleanup knows it already: an alias of several recipients
            self._learn(address, Verified(Reachability.REACHABLE, "2.0.0", "aliased to multiple recipients"))
        elif not isinstance(taken, Accepted):
            self._probes.pop(key, None)
            return None
        return probe

    def _sender_address(self) -> str:
        if self._sender in ("", "<>"):
            return ""
        return self._sender if "@" in self._sender else f"{self._sender}@{self._host_name}"

    # the cache: in memory, and on disk for the next start

    def _recall(self, key: str) -> Known | None:
        known = self._memory.get(key)
        if known is None and self._disk is not None:
            try:
                with self._disk.begin() as transaction:
                    data = transaction.get(key.encode()[:500])
            except lmdb.Error as error:
                self._log.warning(f"address verification cache: {error}")
                return None
            known = Known.from_bytes(bytes(data)) if data else None
            if known is not None:
                self._remember(key, known)
        return known

    def _remember(self, key: str, known: Known) -> None:
        self._memory[key] = known
        self._memory.move_to_end(key)
        if len(self._memory) > _MEMORY:
            self._memory.popitem(last=False)

    def _write(self, key: str, known: Known) -> None:
        if self._disk is None:
            return
        try:
            with self._disk.begin(write=True) as transaction:
                transaction.put(key.encode()[:500], known.to_bytes())
        except lmdb.Error as error:
            self._log.warning(f"address verification cache: {error}")

    def _open(self, spec: str) -> Any:
        """The cache on disk; without one, answers are remembered until the next restart."""
        path = spec.partition(":")[2]
        if not path:
            return None
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            return lmdb.open(f"{path}.lmdb", map_size=_MAP_SIZE, subdir=False, sync=False, mode=0o600)
        except (lmdb.Error, OSError) as error:
            self._log.warning(f"address verification cache {path} cannot be used: {error}")
            return None
