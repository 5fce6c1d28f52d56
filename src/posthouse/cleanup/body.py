"""The body: checked line by line where body_checks or checks of inner headers are set, else left alone (cleanup(8))."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from posthouse.cleanup.content_checks import check_body_line, check_field
from posthouse.cleanup.work import Work
from posthouse.mail.content import FilePart
from posthouse.mail.headers import divide, limit_size
from posthouse.mail.mime_lines import Kind, MimeError, MimeRules, MimeWalk
from posthouse.services.intake import Skip

_LINE_LIMIT = 2048
AT_A_TIME = 200  # lines or fields looked at before other mail gets its turn


async def clean_body(work: Work) -> None:
    """Apply body_checks, mime_header_checks, nested_header_checks and the strict settings; nothing is read where there
    are none.
    """
    rules = work.rules
    if not rules.checks.reads_body and not (rules.mime.strict and rules.mime.follows):
        return
    if work.unchecked or work.submission.skip & Skip.HEADER_BODY_CHECKS:
        return
    if isinstance(work.body, FilePart):
        await _check_file(work, work.body)
        return
    pieces = [piece async for piece in _Checking(work).run(io.BytesIO(work.body))]
    if not work.discard:
        work.body = b"".join(pieces)


async def _check_file(work: Work, part: FilePart) -> None:
    """A large body is streamed to a new file beside the old one, which takes its place only if something changed."""
    path = f"{part.path}.checked-{work.queue_id}"
    length = 0
    walk = _Checking(work)
    try:
        with open(path, "wb") as new, open(part.path, "rb") as old:  # noqa: ASYNC230 - checks of a body take longer
            old.seek(part.offset)
            async for piece in walk.run(_lines_of(old, part.length)):
                new.write(piece)
                length += len(piece)
            new.flush()
            os.fsync(new.fileno())
    except BaseException:
        os.unlink(path)
        raise
    if walk.changed and not work.discard:
        work.replace_file(FilePart(path, 0, length))
    else:
        os.unlink(path)


def _lines_of(file: BinaryIO, length: int) -> Iterator[bytes]:
    """Lines in bounded pieces."""
    while length > 0:
        line = file.readline(min(length, 65536))
        if not line:
            return
        length -= len(line)
        yield line


@dataclass(slots=True)
class _Checking:
    """One pass over a body. changed: a check has changed something."""

    work: Work
    changed: bool = False

    async def run(self, lines: Iterator[bytes]) -> AsyncIterator[bytes]:
        """The lines that remain."""
        fields = divide(self.work.header).fields
        try:
            for number, (kind, piece) in enumerate(MimeWalk(self._rules()).pieces(fields, lines), 1):
                if not number % AT_A_TIME:
                    await asyncio.sleep(0)
                if kind is Kind.PASSED:
                    yield piece
                elif kind is Kind.BODY:
                    async for result in self._body_line(piece):
                        yield result
                else:
                    async for result in self._field(kind, piece):
                        yield result
                if self.work.discard:
                    return
        except MimeError as error:
            raise self.work.refuse_mime(error) from None

    def _rules(self) -> MimeRules:
        """With SMTPUTF8 a header may hold more than ASCII."""
        rules = self.work.rules.mime
        if rules.strict and self.work.submission.envelope.smtputf8:
            return replace(rules, strict=rules.strict - {"strict_7bit_headers"})
        return rules

    async def _field(self, kind: Kind, text: bytes) -> AsyncIterator[bytes]:
        """A field of an inner header; checks see as much of it as header_size_limit allows."""
        rules = self.work.rules
        maps = rules.checks.nested if kind is Kind.NESTED_FIELD else rules.checks.mime
        if maps.empty or self.work.unchecked:
            yield text + b"\n"
            return
        shown = limit_size(text, rules.header_size_limit)
        results = await check_field(self.work, shown, kind.value)
        self._note(results, shown)
        for result in results:
            yield (text if result is shown else result) + b"\n"

    async def _body_line(self, line: bytes) -> AsyncIterator[bytes]:
        if self.work.rules.checks.body.empty or self.work.unchecked:
            yield line
            return
        end = b"\n" if line.endswith(b"\n") else b""
        text = line[: len(line) - len(end)]
        for start in range(0, len(text) or 1, _LINE_LIMIT):
            piece = text[start : start + _LINE_LIMIT]
            results = await check_body_line(self.work, piece) if piece else (piece,)
            self._note(results, piece)
            last = start + _LINE_LIMIT >= len(text)
            for number, result in enumerate(results):
                yield result + (end if last or number + 1 < len(results) else b"")

    def _note(self, results: tuple[bytes, ...], text: bytes) -> None:
        if results != (text,):
            self.changed = True
