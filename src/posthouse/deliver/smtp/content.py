"""The content on its way to a server: line ends, dots and, where the server is old, seven bits."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.mail.content import Content, FilePart
from posthouse.mail.mime_downgrade import downgrade
from posthouse.protocols.smtp_client import Features, wire_form

CHUNK = 1 << 18
END = b".\r\n"


class WireContent:
    """A message's content for one or more servers. size (bytes) is what SIZE= says."""

    def __init__(self, content: Content, *, size: int, eight_bit: bool, convert: bool, line_limit: int) -> None:
        self._content, self._line_limit = content, line_limit
        self._must_convert = eight_bit and convert
        self.size = size
        self.has_ascii_header = content.header.isascii()

    def chunks(self, features: Features) -> Iterator[bytes]:
        """The pieces to send, the final dot included. Reads a body in a file in bounded pieces."""
        header, body = self._content.header, self._content.body
        if self._must_convert and not features.eight_bit_mime:
            header, body = downgrade(header, b"".join(_pieces(body)))
        if isinstance(body, bytes):
            yield wire_form(header + body, self._line_limit) + END
            return
        yield wire_form(header, self._line_limit)
        for piece in _pieces(body):
            yield wire_form(piece, self._line_limit)
        yield END


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
