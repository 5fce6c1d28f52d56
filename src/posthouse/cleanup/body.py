"""The body: checked line by line where body_checks or checks of inner headers are set, else left alone (cleanup(8))."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from posthouse.cleanup.content_checks import check_body_line, check_field
from posthouse.cleanup.work import Work
from posthouse.mail.content import FilePart
from posthouse.mail.headers import divide, is_field
from posthouse.mail.mime_lines import ContentType, Line, MimeState, content_type
from posthouse.services.intake import Skip

_LINE_LIMIT = 2048


async def clean_body(work: Work) -> None:
    """Apply body_checks, mime_header_checks and nested_header_checks; nothing is read where there are none."""
    if not work.rules.checks.reads_body or work.unchecked or work.submission.skip & Skip.HEADER_BODY_CHECKS:
        return
    if isinstance(work.body, FilePart):
        await _check_file(work, work.body)
        return
    pieces = [piece async for piece in _Walk(work).run(iter(work.body.splitlines(keepends=True)))]
    if not work.discard:
        work.body = b"".join(pieces)


async def _check_file(work: Work, part: FilePart) -> None:
    """A large body is streamed to a new file beside the old one, which takes its place only if something changed."""
    path = f"{part.path}.checked-{work.queue_id}"
    length = 0
    walk = _Walk(work)
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
class _Walk:
    """One pass over a body, which begins with the blank line after the header."""

    work: Work
    changed: bool = False
    checked_bytes: int = 0
    field_lines: list[bytes] = field(default_factory=list)
    kind: ContentType | None = None

    async def run(self, lines: Iterator[bytes]) -> AsyncIterator[bytes]:
        """The lines that remain."""
        settings = self.work.rules.settings
        state = MimeState(settings.integer("mime_nesting_limit"), settings.integer("mime_boundary_length_limit"))
        follows = self.work.rules.reads_mime
        yield next(lines, b"")
        state.begin_body(self._primary_type() if follows else None)
        for line in lines:
            where = state.classify(line) if follows else Line.BODY
            if where is Line.BOUNDARY or (state.in_header is None and self.field_lines):
                async for piece in self._end_field(state.in_header or Line.PART_HEADER):
                    yield piece
            if where is Line.BOUNDARY:
                self.checked_bytes, self.kind = 0, None
                yield line
            elif where is Line.BODY:
                async for piece in self._body_line(line):
                    yield piece
            else:
                async for piece in self._header_line(line, state, where):
                    yield piece
            if self.work.discard:
                return
        async for piece in self._end_field(Line.PART_HEADER):
            yield piece

    def _primary_type(self) -> ContentType | None:
        fields = self.work.fields if self.work.fields is not None else divide(self.work.header).fields
        return next((found for text in fields if (found := content_type(text)) is not None), None)

    async def _header_line(self, line: bytes, state: MimeState, where: Line) -> AsyncIterator[bytes]:
        if line[:1] in {b" ", b"\t"} and self.field_lines:
            self.field_lines.append(line)
            return
        async for piece in self._end_field(where):
            yield piece
        if is_field(line):
            self.field_lines.append(line)
            return
        state.begin_body(self.kind)
        self.checked_bytes, self.kind = 0, None
        if line == b"\n":
            yield line
        else:
            async for piece in self._body_line(line):
                yield piece

    async def _end_field(self, where: Line) -> AsyncIterator[bytes]:
        """A field of an inner header is complete."""
        if not self.field_lines:
            return
        text = b"".join(self.field_lines).removesuffix(b"\n")
        self.field_lines.clear()
        self.kind = content_type(text) or self.kind
        checks = self.work.rules.checks
        maps = checks.nested if where is Line.NESTED_HEADER else checks.mime
        results = (text,) if maps.empty or self.work.unchecked else await check_field(self.work, text, where.value)
        self._note(results, text)
        for result in results:
            yield result + b"\n"

    async def _body_line(self, line: bytes) -> AsyncIterator[bytes]:
        checks = self.work.rules.checks
        if checks.body.empty or self.work.unchecked or self.checked_bytes > checks.body_size_limit:
            yield line
            return
        self.checked_bytes += len(line)
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
