"""The content on its way to a server: line ends, dots and, where the server is old, seven bits."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.deliver.smtp.outgoing_checks import OutgoingChecks
from posthouse.mail.content import Content, FilePart
from posthouse.mail.mime_downgrade import downgrade
from posthouse.protocols.smtp_client import Features, wire_form

CHUNK = 1 << 18
END = b".\r\n"


class WireContent:
    """A message's content for one or more servers. size (bytes) is what SIZE= says; checks are smtp_header_checks and
    their kin, with the queue id for their log lines.
    """

    def __init__(self, content: Content, *, size: int, eight_bit: bool, convert: bool, line_limit: int) -> None:
        self._content, self._line_limit = content, line_limit
        self._must_convert = eight_bit and convert
        self.size = size
        self.checks: tuple[OutgoingChecks, str] | None = None
        self.has_ascii_header = content.header.isascii()

    def chunks(self, features: Features) -> Iterator[bytes]:
        """The pieces to send, the final dot included. Reads a body in a file in bounded pieces. Raises LookupFailed."""
        header, body = self._content.header, self._content.body
        if self.checks is not None:
            checks, queue_id = self.checks
            original, header = header, checks.header(queue_id, header)
            if checks.reads_body:
                yield from self._checked(header, checks.body(queue_id, original, _lines(body)), features)
                return
        if self._must_convert and not features.eight_bit_mime:
            header, body = downgrade(header, b"".join(_pieces(body)))
        if isinstance(body, bytes):
            yield wire_form(header + body, self._line_limit) + END
            return
        yield wire_form(header, self._line_limit)
        for piece in _pieces(body):
            yield wire_form(piece, self._line_limit)
        yield END

    def _checked(self, header: bytes, lines: Iterator[bytes], features: Features) -> Iterator[bytes]:
        """The pieces where each line of the body was looked at."""
        if self._must_convert and not features.eight_bit_mime:
            yield wire_form(b"".join(downgrade(header, b"".join(lines))), self._line_limit) + END
            return
        yield wire_form(header, self._line_limit)
        held: list[bytes] = []
        size = 0
        for line in lines:
            held.append(line)
            size += len(line)
            if size >= CHUNK and line.endswith(b"\n"):
                yield wire_form(b"".join(held), self._line_limit)
                held, size = [], 0
        yield wire_form(b"".join(held), self._line_limit)
        yield END


def _lines(body: bytes | FilePart) -> Iterator[bytes]:
    for piece in _pieces(body):
        yield from piece.splitlines(keepends=True) if b"\r" not in piece else _split_at_newlines(piece)


def _split_at_newlines(piece: bytes) -> Iterator[bytes]:
    """Lines end with LF only; a CR stays within its line."""
    start = 0
    while start < len(piece):
        end = piece.find(b"\n", start) + 1 or len(piece)
        yield piece[start:end]
        start = end


def _pieces(body: bytes | FilePart) -> Iterator[bytes]:
    """The body in pieces that end with a line."""
    if isinstance(body, bytes):
        yield body
        return
    left = body.length
    with open(body.path, "rb") as file:
        file.seek(body.offset)
        while left > 0:
            piece = file.read(min(CHUNK, left))
            if len(piece) < left:
                piece += file.readline(left - len(piece))
            if not piece:
                raise OSError(f"{body.path}: shorter than recorded")
            left -= len(piece)
            yield piece
