"""Brings mail for virtual mailbox domains to the files that virtual_mailbox_maps names (virtual(8))."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.deliver.results import (
    delivered,
    failed,
    from_line,
    is_question,
    recipient_fields,
    sender_field,
    would_deliver,
)
from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import find_keys, mailbox_keys
from posthouse.lookup.maps import Maps, open_maps
from posthouse.mail.address import fold_address
from posthouse.mail.content import Content
from posthouse.mail.outcome import Deferred, Outcome
from posthouse.mail.status import Status
from posthouse.maillog import virtual as maillog
from posthouse.services.delivery import DeliveryRequest, Report, Result, Target
from posthouse.services.house import House
from posthouse.services.privileged import Identity, MailFile
from posthouse.system.log import DaemonLog

_CONFIGURATION = Status("4.3.5", 0, "mail system configuration error")
_NO_AGENT = Status("4.3.0", 0, "agent host is not running")
_ID_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class _Rules:
    """The parameters of virtual(8), read once."""

    base: str
    minimum_uid: int
    size_limit: int
    locks: tuple[str, ...]
    lock_attempts: int
    lock_delay: float
    stale_lock: float
    must_own: bool
    delimiters: str
    keeps_original: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a recipient's mail goes, and with what fields on top."""

    path: str
    identity: Identity
    head: bytes

    @property
    def is_maildir(self) -> bool:
        return self.path.endswith("/")


class VirtualAgent:
    """Delivers to one Maildir or mbox per recipient; the recipients of a message are served together."""

    def __init__(self, relay: str, settings: Settings, house: House) -> None:
        self._relay, self._house = relay, house
        self._log: DaemonLog = house.log(settings, "virtual")
        self._mailboxes = open_maps(settings, "virtual_mailbox_maps")
        self._uids = open_maps(settings, "virtual_uid_maps")
        self._gids = open_maps(settings, "virtual_gid_maps")
        self._rules = _Rules(
            base=settings.text("virtual_mailbox_base"),
            minimum_uid=settings.integer("virtual_minimum_uid"),
            size_limit=settings.integer("virtual_mailbox_limit"),
            locks=settings.items("virtual_mailbox_lock"),
            lock_attempts=settings.integer("deliver_lock_attempts"),
            lock_delay=float(settings.seconds("deliver_lock_delay")),
            stale_lock=float(settings.seconds("stale_lock_time")),
            must_own=settings.flag("strict_mailbox_ownership"),
            delimiters=settings.text("recipient_delimiter"),
            keeps_original=settings.flag("enable_original_recipient"),
        )

    async def deliver(self, request: DeliveryRequest) -> Report:
        if len(request.targets) == 1:
            return Report((await self._result(request, request.targets[0]),))
        # A Maildir makes the folders that it is in; an mbox beside it needs them.
        found = await asyncio.gather(*(self._find_place(request, target) for target in request.targets))
        pairs = list(zip(request.targets, found, strict=True))
        results: list[Result] = []
        for is_now in (_is_no_mbox, _is_mbox):
            now = [self._finish(request, target, place) for target, place in pairs if is_now(place)]
            results += await asyncio.gather(*now)
        return Report(tuple(results))

    async def close(self) -> None:
        """Nothing is kept."""

    async def _result(self, request: DeliveryRequest, target: Target) -> Result:
        return await self._finish(request, target, await self._find_place(request, target))

    async def _finish(self, request: DeliveryRequest, target: Target, place: _Place | Outcome) -> Result:
        outcome = await self._deliver_to(request, place) if isinstance(place, _Place) else place
        return Result(target.index, outcome, finished=time.time())

    async def _find_place(self, request: DeliveryRequest, target: Target) -> _Place | Outcome:
        """The mailbox, or what becomes of the mail without one."""
        address = target.recipient.address
        try:
            found = await self._find(self._mailboxes, address)
        except LookupFailed as failure:
            self._log.warning(maillog.lookup_failed("virtual_mailbox_maps", address, str(failure)))
            return Deferred(Status("4.3.5", 0, "mailbox lookup error"), self._relay)
        if found is None:
            return failed(Status("5.1.1", 0, f'unknown user: "{fold_address(address)}"'), self._relay)
        identity = await self._identity(address)
        if identity is None:
            return Deferred(_CONFIGURATION, self._relay)
        path = f"{self._rules.base}/{found}" if self._rules.base else found
        fields = recipient_fields(target.recipient, address, with_original=self._rules.keeps_original)
        return _Place(path, identity, sender_field(request.message.envelope.sender) + fields)

    async def _deliver_to(self, request: DeliveryRequest, place: _Place) -> Outcome:
        kind = "maildir" if place.is_maildir else "mailbox"
        if is_question(request):
            return would_deliver(f"delivers to {kind}", self._relay)
        status = await self._write(request, place)
        if status is not None:
            return failed(status, self._relay)
        return delivered(f"delivered to {kind}", self._relay)

    async def _write(self, request: DeliveryRequest, place: _Place) -> Status | None:
        agent = self._house.privileged
        if agent is None:
            return _NO_AGENT
        rules = self._rules
        content: Content = request.message.content
        if place.is_maildir:
            return await agent.write_maildir(
                MailFile(place.identity, place.path, place.head, content, rules.size_limit)
            )
        mail = MailFile(
            place.identity,
            place.path,
            from_line(request.message.envelope.sender, time.time()) + place.head,
            content,
            rules.size_limit,
            rules.locks,
            from_quoting=True,
            lock_attempts=rules.lock_attempts,
            lock_delay=rules.lock_delay,
            stale_lock=rules.stale_lock,
            must_own=rules.must_own,
        )
        status = await agent.append_mbox(mail)
        if status is None:
            return None
        return replace(status, text=f"delivery failed to mailbox {place.path}: {status.text}")

    async def _find(self, maps: Maps, address: str) -> str | None:
        found = await find_keys(maps, mailbox_keys(fold_address(address), self._rules.delimiters))
        return None if found is None else found.value

    async def _identity(self, address: str) -> Identity | None:
        """Whose rights the mailbox is written with; None, with a warning, where the tables have no good answer."""
        uid = await self._number(self._uids, "uid", address, self._rules.minimum_uid)
        gid = None if uid is None else await self._number(self._gids, "gid", address, 1)
        return None if uid is None or gid is None else Identity(uid, gid)

    async def _number(self, maps: Maps, what: str, address: str, least: int) -> int | None:
        parameter = f"virtual_{what}_maps"
        try:
            text = await self._find(maps, address)
        except LookupFailed as failure:
            self._log.warning(maillog.lookup_failed(parameter, address, str(failure)))
            return None
        if text is None:
            self._log.warning(maillog.no_identity(address, parameter))
            return None
        number = int(text) if text.isascii() and text.isdecimal() else -1
        if not least <= number < _ID_LIMIT:
            self._log.warning(maillog.bad_identity(address, what, text, parameter))
            return None
        return number


def _is_mbox(place: _Place | Outcome) -> bool:
    return isinstance(place, _Place) and not place.is_maildir


def _is_no_mbox(place: _Place | Outcome) -> bool:
    return not _is_mbox(place)


def build(service: Service, settings: Settings, house: House) -> VirtualAgent:
    """The agent of a line "virtual unix ... virtual"."""
    return VirtualAgent(service.name, settings, house)
