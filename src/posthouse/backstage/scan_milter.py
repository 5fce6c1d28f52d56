"""The scanner as a milter: hears of a message from the mail server that receives it, and answers before it is queued.

Nothing of the message is kept here; what the answer cannot say for single recipients is done for all that are left.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from posthouse.backstage.message_spool import MessageSpool
from posthouse.backstage.scan_acts import Fate, Scan, ScanActs, refusal, wording
from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed, ProtocolError, TemporaryFailure
from posthouse.filters.scanner.examine import Examiner
from posthouse.filters.scanner.judge import Decision, Destiny
from posthouse.filters.scanner.milter_changes import header_changes
from posthouse.filters.scanner.rules import ScanRules
from posthouse.filters.scanner.tagging import Additions, additions
from posthouse.mail.envelope import Envelope, Origin, Recipient
from posthouse.mail.status import Status
from posthouse.maillog import amavis as lines
from posthouse.protocols import milter_server as grammar
from posthouse.protocols.milter import Actions, Event, PacketReader, Verdict
from posthouse.protocols.smtp_address import BadAddress, extract_address
from posthouse.services.house import House
from posthouse.system.dates import mail_date

IDLE_LIMIT_S = 7200.0  # a mail server keeps the connection as long as its client's session
PROGRESS_S = 30.0  # the mail server waits longer as long as it hears from us
CLOSE_LIMIT_S = 10.0
MOST_RECIPIENTS = 50_000
MOST_HEADER = 8_000_000  # bytes
_READ = 1 << 16
_ACCEPT = grammar.answer(Verdict.ACCEPT)
_CONTINUE = grammar.answer(Verdict.CONTINUE)
_TROUBLE = Status("4.3.0", 451, "Error: content scanner failed, try again later")


@dataclass(slots=True)
class _Message:
    """What is known of the message so far; recipients as they were written, too."""

    spool: MessageSpool
    sender: str = ""
    recipients: list[Recipient] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    fields: list[grammar.Field] = field(default_factory=list)
    header_size: int = 0
    queue_id: str = ""

    def add_field(self, field: grammar.Field) -> None:
        """One more. Raises ProtocolError for a header that is no end."""
        self.header_size += len(field.name) + len(field.value)
        if self.header_size > MOST_HEADER:
            raise ProtocolError(f"milter: a header of more than {MOST_HEADER} bytes")
        self.fields.append(field)


class ScanMilter:
    """A milter for all connections of a scan service. Raises ConfigError."""

    def __init__(self, rules: ScanRules, settings: Settings, house: House) -> None:
        self.rules, self.house = rules, house
        self.acts = ScanActs(rules, settings, house)
        self.examiner = Examiner(rules, self.acts.log.warning)
        self.host = settings.text("myhostname")
        self.spool_directory = f"{settings.text('queue_directory')}/posthouse/spool"
        self.size_limit = settings.integer("message_size_limit")
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from the offer to its end."""
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
        connection = _Connection(self, reader, writer)
        try:
            await connection.run()
        except (ProtocolError, ConnectionError, TimeoutError) as error:
            self.acts.log.warning(f"milter: connection ended: {error or 'no packet in time'}")
        finally:
            connection.forget()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            if task is not None:
                self._connections.discard(task)

    async def close(self, grace: float) -> None:
        """End connections: those that are in the middle of a message have so many seconds."""
        if self._connections:
            await asyncio.wait(self._connections, timeout=grace)
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


class _Connection:
    def __init__(self, milter: ScanMilter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._milter, self._reader, self._writer = milter, reader, writer
        self._packets = PacketReader()
        self._agreed: grammar.Agreed | None = None
        self._client = grammar.Client("", "", "")
        self._helo = ""
        self._macros: dict[str, str] = {}
        self._message: _Message | None = None

    async def run(self) -> None:
        """Packets, one after the other, until the other side ends it."""
        while True:
            async with asyncio.timeout(IDLE_LIMIT_S):
                data = await self._reader.read(_READ)
            if not data:
                return
            for letter, content in self._packets.feed(data):
                if not await self._take(letter, content):
                    return
            await self._writer.drain()

    def forget(self) -> None:
        """The message is over."""
        if self._message is not None:
            self._message.spool.discard()
            self._message = None

    async def _take(self, letter: bytes, data: bytes) -> bool:
        """One packet; False ends the connection."""
        if letter == b"O":
            self._agreed = grammar.agree(data)
            self._writer.write(self._agreed.packet())
            return True
        if self._agreed is None:
            raise ProtocolError("milter: no offer")
        told = grammar.read_told(letter, data)
        match told:
            case grammar.Macros(values):
                self._macros |= values
            case grammar.Quit(is_reused):
                self.forget()
                self._macros.clear()
                return is_reused
            case grammar.Abort():
                self.forget()
            case grammar.Body(content, True):
                await self._end_of_message(content, self._agreed)
            case _:
                self._note(told, self._agreed)
        return True

    def _note(self, told: grammar.Told, agreed: grammar.Agreed) -> None:
        """What is only taken down; answered where an answer is awaited."""
        match told:
            case grammar.Client():
                self.forget()
                self._client, event = told, Event.CONNECT
            case grammar.Words(event, words):
                self._note_words(event, words)
            case grammar.Field():
                event = Event.HEADER
                self._open().add_field(told)
            case grammar.Body(content, _):
                event = Event.BODY
                self._open().spool.add(content)
            case grammar.Plain(event):
                pass
            case _:
                return
        if agreed.answers(event):
            self._writer.write(_CONTINUE)

    def _note_words(self, event: Event, words: tuple[str, ...]) -> None:
        if event is Event.HELO:
            self._helo = words[0]
        elif event is Event.MAIL:
            self.forget()
            self._open().sender = _address(words[0])
        elif event is Event.RCPT and len(self._open().recipients) < MOST_RECIPIENTS:
            self._open().recipients.append(Recipient(_address(words[0])))
            self._open().written.append(words[0])

    def _open(self) -> _Message:
        if self._message is None:
            intake = self._milter.house.intake
            if intake is None:
                raise RuntimeError("the house has no intake")
            spool = MessageSpool(self._milter.spool_directory, intake.new_queue_id(), self._milter.size_limit)
            self._message = _Message(spool)
        return self._message

    # -- the end of the message

    async def _end_of_message(self, data: bytes, agreed: grammar.Agreed) -> None:
        """Have it looked at, and answer; the mail server hears from us while that takes its time."""
        message = self._open()
        message.spool.add(data)
        message.queue_id = self._macros.get("i", "")
        work = asyncio.ensure_future(self._answer(message, agreed))
        try:
            while not (await asyncio.wait((work,), timeout=PROGRESS_S))[0]:
                self._writer.write(grammar.answer(Verdict.PROGRESS))
            self._writer.write(b"".join(work.result()))
        finally:
            work.cancel()
            self.forget()
            for name in ("i", "auth_authen", "auth_type"):
                self._macros.pop(name, None)

    async def _answer(self, message: _Message, agreed: grammar.Agreed) -> list[bytes]:
        """The changes, and the verdict last."""
        acts = self._milter.acts
        number = acts.number()
        try:
            return await _Judgement(self._milter, message, agreed).answer(self._scan(message, number))
        except TemporaryFailure as failed:
            status = failed.status
            acts.log.warning(lines.note(number, f"{message.queue_id}: deferred: {status.reason or status.text}"))
            return [_reply(status)]
        except (OSError, LookupFailed) as error:
            acts.log.warning(lines.note(number, f"{message.queue_id}: deferred: {error}"))
            return [_reply(_TROUBLE)]

    def _scan(self, message: _Message, number: str) -> Scan:
        """Raises OSError where the body could not be kept."""
        now, client = time.time(), self._client
        origin = Origin(
            client_name=client.name.strip("[]"), client_address=client.address, client_port=client.port,
            helo_name=self._helo, protocol_name="ESMTP", identifier=message.queue_id or "NOQUEUE", source="REMOTE",
            sasl_username=self._macros.get("auth_authen", ""),
        )  # fmt: skip
        address = f"IPv6:{client.address}" if ":" in client.address else client.address
        received = (
            f"Received: from {self._helo or 'unknown'} ({client.name} [{address}])\n\tby {self._milter.host} "
            f"(Posthouse) with ESMTP id {message.queue_id or 'NOQUEUE'};\n\t{mail_date(now)}\n"
        )
        top = received.encode("utf-8", "replace") if client.address else b""
        header = top + b"".join(_line(field) for field in message.fields)
        envelope = Envelope(message.sender, tuple(message.recipients), origin=origin)
        return Scan(
            number, secrets.token_urlsafe(9), time.monotonic(), message.queue_id, now, envelope,
            message.spool.close(header), self._milter.acts.is_own(origin),
        )  # fmt: skip


class _Judgement:
    """From what was found to what the mail server is told."""

    def __init__(self, milter: ScanMilter, message: _Message, agreed: grammar.Agreed) -> None:
        self._milter, self._message, self._agreed = milter, message, agreed
        self._acts, self._rules = milter.acts, milter.rules

    async def answer(self, scan: Scan) -> list[bytes]:
        """The packets. Raises TemporaryFailure, LookupFailed and OSError."""
        if not scan.envelope.recipients:
            return [_ACCEPT]
        verdicts = await self._milter.examiner.examine(
            scan.content, scan.envelope, await self._acts.local(scan.envelope)
        )
        if verdicts.findings.aside and self._may_hold():
            self._acts.tell(scan, verdicts, Fate(quarantine="hold"))
            return [grammar.quarantine(verdicts.findings.aside), _CONTINUE]
        quarantine = await self._acts.quarantine(scan, verdicts)
        passed = [decision for decision in verdicts.decisions if decision.is_passed]
        is_refused = not passed and all(d.destiny is Destiny.REJECT for d in verdicts.decisions)
        if not is_refused:
            await self._acts.bounce(scan, _told(verdicts.decisions, scan.number))
        await self._acts.tell_admins(scan, verdicts, quarantine)
        self._acts.tell(scan, verdicts, Fate("", quarantine, rejects_bounce=not is_refused))
        if is_refused:
            return [_reply(refusal(verdicts.decisions[0], scan.number))]
        if not passed:
            return [grammar.answer(Verdict.DISCARD)]
        marks = replace(self._rules.marks, quarantine_id=scan.mail_id if quarantine else "")
        added = additions(verdicts.findings, max(passed, key=_weight), marks)
        return [*self._changes(added), *self._deletions(verdicts.decisions), _CONTINUE]

    def _may_hold(self) -> bool:
        """Where nothing here keeps mail aside, the mail server can."""
        return not any(self._rules.quarantines.values()) and bool(self._agreed.actions & Actions.QUARANTINE)

    def _changes(self, added: Additions) -> list[bytes]:
        if not self._agreed.actions & Actions.CHANGE_HEADERS:
            return []
        return header_changes(self._message.fields, added, self._rules.removed_fields, self._agreed)

    def _deletions(self, decisions: Sequence[Decision]) -> list[bytes]:
        written = self._message.written
        return [grammar.delete_recipient(written[i]) for i, decision in enumerate(decisions) if not decision.is_passed]


def _weight(decision: Decision) -> tuple[bool, bool, float]:
    """Who of several recipients says what the header shall hold."""
    return decision.personal.is_local, decision.marked, decision.score if decision.score is not None else -1e9


def _told(decisions: Sequence[Decision], number: str) -> list[tuple[int, Status]]:
    """Recipients whom the message does not reach, of which the sender is to hear."""
    return [
        (index, Status("5.7.0", 554, f"Bounce, id={number} - {wording(decision)}"))
        for index, decision in enumerate(decisions)
        if decision.destiny in (Destiny.BOUNCE, Destiny.REJECT) and decision.bounces
    ]


def _reply(status: Status) -> bytes:
    return grammar.reply_code(f"{status.code} {status.dsn} {status.text}")


def _line(field: grammar.Field) -> bytes:
    value = field.value.replace(b"\r\n", b"\n").rstrip(b"\n")
    space = b"" if value[:1] in (b" ", b"\t") else b" "
    return field.name + b":" + space + value + b"\n"


def _address(word: str) -> str:
    """The address in internal form; one that is none stays as it is."""
    try:
        return extract_address(word, strict=False, utf8=True, null=True)
    except BadAddress:
        return word.removeprefix("<").removesuffix(">")
