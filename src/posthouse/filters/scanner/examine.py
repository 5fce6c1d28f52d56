"""Looks at a message: its header, its parts, what clamd and spamd say. What happens to it then is for others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from posthouse.errors import LookupFailed, TemporaryFailure
from posthouse.filters.scanner import bad_header
from posthouse.filters.scanner.backends import AllDown, Group, Probe, Question, Warn
from posthouse.filters.scanner.banned import find_banned
from posthouse.filters.scanner.contents import Contents, look_through
from posthouse.filters.scanner.judge import Case, Decision, Findings, Kind, Personal, judge
from posthouse.filters.scanner.rules import ScanRules
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope
from posthouse.mail.status import Status
from posthouse.protocols import clamd, spamd

PIECE = 1 << 16
AT_ONCE = 32_768  # bytes of a message that are looked through without a thread
MAX_USERS = 20  # recipients' preferences that are asked for; beyond that spamd's own hold
_NOT_SCANNED = Status("4.7.1", 451, "Error: content scanner is not available, try again later")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was found, and what that means for each recipient, in the envelope's order."""

    findings: Findings
    decisions: tuple[Decision, ...]


class Examiner:
    """What a scan service asks about each message."""

    def __init__(self, rules: ScanRules, warn: Warn) -> None:
        self._rules, self._warn = rules, warn
        self._spamd = Group("spamd", rules.spamd, Probe(spamd.PING, spamd.pong), warn)
        self._clamd = Group("clamd", rules.clamd, Probe(clamd.PING, clamd.pong), warn)

    async def examine(self, content: Content, envelope: Envelope, local: Sequence[bool]) -> Verdicts:
        """Look at a message; local says of each recipient whether it is. Raises TemporaryFailure where it has to wait,
        and OSError for a body that cannot be read.
        """
        people = [
            self._rules.recipients.of(recipient.address, is_local=is_local)
            for recipient, is_local in zip(envelope.recipients, local, strict=True)
        ]
        findings = await self._without_daemons(content, people)
        virus, answers = await asyncio.gather(
            self._virus(content, people), self._spam(content, self._undecided(findings, envelope, people))
        )
        findings = _together(findings, virus, answers.findings)
        cases = (
            Case(recipient, personal, envelope.sender, answers.of(personal))
            for recipient, personal in zip(envelope.recipients, people, strict=True)
        )
        decisions = [judge(findings, case, self._rules.destinies) for case in cases]
        if findings.virus and all(not decision.is_passed for decision in decisions):
            decisions = [replace(decision, spam=None) for decision in decisions]
        return Verdicts(findings, tuple(decisions))

    async def _without_daemons(self, content: Content, people: Sequence[Personal]) -> Findings:
        bad = bad_header.check(content.header) if self._rules.header_faults else None
        if bad is not None and bad.fault not in self._rules.header_faults:
            bad = None
        if self._rules.banned.is_empty or all(Kind.BANNED in personal.bypasses for personal in people):
            return Findings(bad_header=bad)
        contents = await self._contents(content)
        unchecked = contents.unchecked
        try:
            banned = find_banned(contents.parts, self._rules.banned)
        except LookupFailed as failed:
            banned, unchecked = (), f"names that cannot be looked up: {failed}"
        return Findings(banned=banned, unchecked=unchecked, bad_header=bad)

    async def _contents(self, content: Content) -> Contents:
        if content.size <= AT_ONCE:
            return look_through(content, self._rules.limits, in_archives=self._rules.in_archives)
        return await asyncio.to_thread(look_through, content, self._rules.limits, in_archives=self._rules.in_archives)

    def _undecided(self, findings: Findings, envelope: Envelope, people: Sequence[Personal]) -> list[Personal]:
        """Those for whom it matters whether it is spam."""
        undecided = []
        for recipient, personal in zip(envelope.recipients, people, strict=True):
            so_far = judge(findings, Case(recipient, personal, envelope.sender), self._rules.destinies)
            if so_far.is_passed and Kind.SPAM not in personal.bypasses:
                undecided.append(personal)
        return undecided

    # -- clamd

    async def _virus(self, content: Content, people: Sequence[Personal]) -> Findings:
        rules = self._rules.clamd
        if not self._clamd.backends or all(Kind.INFECTED in personal.bypasses for personal in people):
            return Findings()
        if rules.size and content.size > rules.size:
            return Findings(unchecked=f"{content.size} bytes are too many to be scanned for viruses")

        def stream() -> Iterator[bytes]:
            yield clamd.COMMAND
            for piece in pieces(content):
                yield clamd.chunk(piece)
            yield clamd.END

        try:
            return Findings(virus=await self._clamd.ask(Question(stream, clamd.MAX_ANSWER), clamd.answer))
        except clamd.TooLarge as too_large:
            return Findings(unchecked=f"{content.size} bytes are {too_large}")
        except AllDown as down:
            return self._when_down(rules.down, str(down), "not scanned for viruses")

    # -- spamd

    async def _spam(self, content: Content, people: Sequence[Personal]) -> _Answers:
        if not self._spamd.backends or not people:
            return _Answers({}, Findings())
        users = list(dict.fromkeys(personal.spamd_user for personal in people))
        if len(users) > MAX_USERS:
            self._warn(f"spamd is asked for {MAX_USERS - 1} of {len(users)} recipients' preferences")
            users = ["", *(user for user in users if user)][:MAX_USERS]
        try:
            found = await asyncio.gather(*(self._ask_spamd(content, user) for user in users))
        except AllDown as down:
            return _Answers({}, self._when_down(self._rules.spamd.down, str(down), "not checked for spam"))
        limit = self._rules.spamd.size
        notes = (
            (f"the first {limit} of {content.size} bytes were checked for spam",) if 0 < limit < content.size else ()
        )
        return _Answers(dict(zip(users, found, strict=True)), Findings(notes=notes))

    async def _ask_spamd(self, content: Content, user: str) -> spamd.SpamAnswer:
        limit, size, mark = self._rules.spamd.size, content.size, b""
        if 0 < limit < size:
            mark = f"X-Amavis-MessageSize: {size}, TRUNCATED to {limit}\n".encode()
            size = limit

        def stream() -> Iterator[bytes]:
            yield spamd.request(size + len(mark), user) + mark
            yield from _first(pieces(content), size)

        return await self._spamd.ask(Question(stream, spamd.MAX_ANSWER), spamd.answer)

    def _when_down(self, choice: str, why: str, what: str) -> Findings:
        """posthouse_scan_*_down. Raises TemporaryFailure."""
        if choice == "defer":
            raise TemporaryFailure(replace(_NOT_SCANNED, reason=f"{what}: {why}"))
        if choice == "quarantine":
            return Findings(aside=f"{what}: {why}")
        self._warn(f"{what}: {why}")
        return Findings(unchecked=what) if "virus" in what else Findings(notes=(what,))


@dataclass(frozen=True, slots=True)
class _Answers:
    """What spamd said, by user."""

    by_user: dict[str, spamd.SpamAnswer]
    findings: Findings

    def of(self, personal: Personal) -> spamd.SpamAnswer | None:
        if Kind.SPAM in personal.bypasses:
            return None
        return self.by_user.get(personal.spamd_user, self.by_user.get(""))


def _together(first: Findings, *others: Findings) -> Findings:
    for other in others:
        first = Findings(
            first.virus or other.virus,
            first.banned or other.banned,
            "; ".join(filter(None, (first.unchecked, other.unchecked))),
            first.aside or other.aside,
            first.bad_header or other.bad_header,
            (*first.notes, *other.notes),
        )
    return first


def pieces(content: Content) -> Iterator[bytes]:
    """A message in pieces of bounded size, a body in a file too. Raises OSError."""
    yield content.header
    body = content.body
    if isinstance(body, bytes):
        for at in range(0, len(body), PIECE):
            yield body[at : at + PIECE]
        return
    yield from _file_pieces(body)


def _file_pieces(body: FilePart) -> Iterator[bytes]:
    left = body.length
    with open(body.path, "rb") as file:
        file.seek(body.offset)
        while left > 0:
            piece = file.read(min(PIECE, left))
            if not piece:
                raise OSError(f"{body.path}: shorter than recorded")
            left -= len(piece)
            yield piece


def _first(parts: Iterable[bytes], size: int) -> Iterator[bytes]:
    for part in parts:
        yield part[:size]
        size -= len(part)
        if size <= 0:
            return
