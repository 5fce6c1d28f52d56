"""Follows the parts of a MIME message line by line, for body_checks and checks of inner headers (RFC 2045, 2046)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

_BOUNDARY = re.compile(rb';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE | re.DOTALL)
_TYPE = re.compile(rb"content-type[ \t]*:\s*([^\s;/]+)\s*/\s*([^\s;]+)", re.IGNORECASE)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


class Line(Enum):
    """What a line after the primary header is."""

    BODY = "body"
    BOUNDARY = "boundary"
    PART_HEADER = "mime"
    NESTED_HEADER = "nested"


@dataclass(frozen=True, slots=True)
class ContentType:
    """boundary is b"" where the part is no multipart."""

    kind: bytes
    subtype: bytes
    boundary: bytes = b""


def content_type(field_text: bytes) -> ContentType | None:
    """The type of a Content-Type field; None for any other field."""
    match = _TYPE.match(field_text)
    if match is None:
        return None
    kind, subtype = match[1].lower(), match[2].lower()
    boundary = b""
    if kind == b"multipart":
        found = _BOUNDARY.search(field_text)
        if found:
            boundary = _ESCAPE.sub(rb"\1", found[1]) if found[1] is not None else found[2]
    return ContentType(kind, subtype, boundary)


@dataclass(slots=True)
class MimeState:
    """Where in the message we are. Boundaries are compared up to boundary_limit bytes (mime_boundary_length_limit);
    multiparts nested deeper than nesting_limit (mime_nesting_limit) are not looked into.
    """

    nesting_limit: int
    boundary_limit: int
    boundaries: list[bytes] = field(default_factory=list)
    in_header: Line | None = None
    current: ContentType | None = None

    def begin_body(self, kind: ContentType | None) -> None:
        """A header has ended; kind is what its Content-Type said."""
        self.in_header = None
        if kind is None:
            return
        if kind.kind == b"multipart" and kind.boundary and len(self.boundaries) < self.nesting_limit:
            self.boundaries.append(kind.boundary[: self.boundary_limit])
        elif kind.kind == b"message" and kind.subtype in {b"rfc822", b"news", b"global"}:
            self.in_header = Line.NESTED_HEADER

    def classify(self, line: bytes) -> Line:
        """What a line of the body is; a boundary ends the parts inside it."""
        if line.startswith(b"--") and self.boundaries:
            for depth in range(len(self.boundaries) - 1, -1, -1):
                boundary = self.boundaries[depth]
                if line[2 : 2 + len(boundary)] == boundary:
                    self._cross(depth, closes=line[2 + len(boundary) : 4 + len(boundary)] == b"--")
                    return Line.BOUNDARY
        return self.in_header or Line.BODY

    def _cross(self, depth: int, *, closes: bool) -> None:
        del self.boundaries[depth if closes else depth + 1 :]
        self.in_header = None if closes else Line.PART_HEADER
