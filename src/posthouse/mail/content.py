"""The content of a message: header in memory, body in memory or in a file when it is large. Lines end with LF."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FilePart:
    """length bytes of the file at path, from offset (bytes). The file belongs to the queue and does not change."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Content:
    """header: the fields, each line ended by LF, without the blank line after them.

    body: all after the header, beginning with the blank line's LF where the message has one.
    The message as it stands in a Maildir is header + body.
    """

    header: bytes
    body: bytes | FilePart

    @property
    def size(self) -> int:
        """Bytes of the whole, with LF line ends."""
        return len(self.header) + (len(self.body) if isinstance(self.body, bytes) else self.body.length)
