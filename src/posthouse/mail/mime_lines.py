"""Follows the parts of a MIME message line by line, for body_checks and checks of inner headers (RFC 2045, 2046)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from posthouse.errors import PosthouseError
from posthouse.mail.headers import is_field, name_of, value_of

MIME_FIELDS = frozenset(
    {b"mime-version", b"content-type", b"content-transfer-encoding"}
    | {b"content-disposition", b"content-description", b"content-id"}
)
_BOUNDARY = re.compile(rb';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|([^\s;"]+))', re.IGNORECASE | re.DOTALL)
_TYPE = re.compile(rb"content-type[ \t]*:\s*([^\s;/]+)\s*/\s*([^\s;]+)", re.IGNORECASE)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT_MARK = re.compile(rb'"(?:[^"\\]|\\.)*+"|\\.|[()]', re.DOTALL)
_IDENTITY = frozenset({b"7bit", b"8bit", b"binary"})
_SEVEN_BIT_ONLY = frozenset({b"partial", b"external-body"})
_LEVELS_FREE = 2  # multiparts that mime_nesting_limit does not count


class Kind(Enum):
    """What a piece of the content after the primary header is."""

    MIME_FIELD = "mime"
    NESTED_FIELD = "nested"
    BODY = "body"
    PASSED = "passed"  # not looked at: blank lines after headers, and what is beyond the limit


class MimeError(PosthouseError):
    """A message that breaks a rule; text is for the client, what is the line or field concerned."""

    def __init__(self, text: str, what: bytes) -> None:
        super().__init__(text)
        self.text, self.what = text, what


@dataclass(frozen=True, slots=True)
class ContentType:
    """boundary is b"" where the part is no multipart."""

    kind: bytes
    subtype: bytes
    boundary: bytes = b""


_PLAIN = ContentType(b"text", b"plain")
_MESSAGE = ContentType(b"message", b"rfc822")


@dataclass(frozen=True, slots=True)
class MimeRules:
    """How far parts are followed. boundary_limit: boundaries are compared up to so many bytes; checked_limit: of each
    part so many bytes of body are for checking; strict: names of the strict settings that are on. With forgives_nesting
    what is nested too deep is not followed, else it is an error.
    """

    nesting_limit: int
    boundary_limit: int
    checked_limit: int
    follows: bool = True
    forgives_nesting: bool = False
    strict: frozenset[str] = frozenset()


def without_comments(text: bytes) -> bytes:
    """A structured field without what stands in parentheses."""
    if b"(" not in text:
        return text
    kept, depth, position = [], 0, 0
    for match in _COMMENT_MARK.finditer(text):
        if match[0] == b"(":
            if depth == 0:
                kept.append(text[position : match.start()])
            depth += 1
        elif match[0] == b")" and depth:
            depth -= 1
            position = match.end()
    if depth == 0:
        kept.append(text[position:])
    return b" ".join(kept)


def content_type(field_text: bytes) -> ContentType | None:
    """The type of a Content-Type field; None for any other field."""
    if name_of(field_text) != b"content-type":
        return None
    field_text = without_comments(field_text)
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
class _Part:
    """What the header of a part says of its body; the first of two fields counts."""

    kind: ContentType | None = None
    encoding: bytes = b""

    def note(self, text: bytes) -> None:
        name = name_of(text)
        if name == b"content-type":
            self.kind = self.kind or content_type(text)
        elif name == b"content-transfer-encoding" and not self.encoding:
            self.encoding = without_comments(value_of(text)).strip().lower()


@dataclass(slots=True)
class MimeWalk:
    """One pass over a body. Raises MimeError as the rules say."""

    rules: MimeRules
    _boundaries: list[tuple[bytes, ContentType]] = field(default_factory=list)
    _in_header: Kind | None = None
    _default: ContentType = _PLAIN
    _field_lines: list[bytes] = field(default_factory=list)
    _part: _Part = field(default_factory=_Part)
    _seven_bit: bool = False
    _checked: int = 0

    def pieces(self, primary: Iterable[bytes], lines: Iterable[bytes]) -> Iterator[tuple[Kind, bytes]]:
        """The body, which begins with the blank line after the primary header, in pieces: fields without their last LF,
        lines with theirs. primary are the header's fields, as they came.
        """
        rest = iter(lines)
        yield Kind.PASSED, next(rest, b"")
        if not self.rules.follows:
            for line in rest:
                yield self._kind_of(line), line
            return
        for text in primary:
            self._end_of(text)
        self._begin_body()
        goes_on = False
        for line in rest:
            if goes_on:
                yield self._body(line)
            else:
                yield from self._line(line)
            goes_on = not line.endswith(b"\n")
        yield from self._end_field()

    def _line(self, line: bytes) -> Iterator[tuple[Kind, bytes]]:
        depth = self._crossed(line) if line[:2] == b"--" else None
        if depth is not None:
            yield from self._end_field()
            yield self._cross(depth, line)
        elif self._in_header is None:
            yield self._body(line)
        elif self._field_lines and line[:1] in {b" ", b"\t"}:
            self._field_lines.append(line)
        else:
            yield from self._end_field()
            if is_field(line):
                self._field_lines.append(line)
                return
            self._begin_body()
            yield (Kind.PASSED, line) if line == b"\n" else self._body(line)

    # -- header fields

    def _end_field(self) -> Iterator[tuple[Kind, bytes]]:
        if self._field_lines:
            text = b"".join(self._field_lines).removesuffix(b"\n")
            self._field_lines.clear()
            self._end_of(text)
            nested = self._in_header is Kind.NESTED_FIELD and name_of(text) not in MIME_FIELDS
            yield (Kind.NESTED_FIELD if nested else Kind.MIME_FIELD), text

    def _end_of(self, text: bytes) -> None:
        if "strict_7bit_headers" in self.rules.strict and not text.isascii():
            raise MimeError("improper use of 8-bit data in message header", text)
        self._part.note(text)
        kind = self._part.kind
        if kind is not None and kind.kind == b"multipart" and name_of(text) == b"content-type":
            self._check_nesting(text)

    def _check_nesting(self, text: bytes) -> None:
        if self._is_too_deep and not self.rules.forgives_nesting:
            raise MimeError("MIME nesting exceeds safety limit", text)

    @property
    def _is_too_deep(self) -> bool:
        return len(self._boundaries) >= self.rules.nesting_limit + _LEVELS_FREE

    def _begin_body(self) -> None:
        """A header has ended."""
        part, kind = self._part, self._part.kind or self._default
        self._in_header, self._part, self._default, self._checked = None, _Part(), _PLAIN, 0
        encoding = part.encoding or b"7bit"
        composite = kind.kind in {b"multipart", b"message"}
        if composite and "strict_mime_encoding_domain" in self.rules.strict:
            self._check_domain(kind, encoding)
        self._seven_bit = encoding not in {b"8bit", b"binary"} and (composite or not _is_transfer_coded(encoding))
        if kind.kind == b"multipart" and kind.boundary and not self._is_too_deep:
            inner = _MESSAGE if kind.subtype == b"digest" else _PLAIN
            self._boundaries.append((kind.boundary[: self.rules.boundary_limit], inner))
        elif kind.kind == b"message" and kind.subtype in {b"rfc822", b"news", b"global"}:
            self._in_header = Kind.NESTED_FIELD

    def _check_domain(self, kind: ContentType, encoding: bytes) -> None:
        only_7bit = kind.kind == b"message" and kind.subtype in _SEVEN_BIT_ONLY
        if encoding not in _IDENTITY or (only_7bit and encoding != b"7bit"):
            raise MimeError("invalid message/* or multipart/* encoding domain", encoding)

    # -- the body

    def _crossed(self, line: bytes) -> int | None:
        """Whose boundary the line is: a place in the list of open multiparts."""
        for depth in range(len(self._boundaries) - 1, -1, -1):
            boundary = self._boundaries[depth][0]
            if line.startswith(boundary, 2):
                return depth
        return None

    def _cross(self, depth: int, line: bytes) -> tuple[Kind, bytes]:
        """A boundary ends the parts inside it. It counts with what was before, a closing one with what follows."""
        boundary, inner = self._boundaries[depth]
        self._part = _Part()
        if line.startswith(b"--", 2 + len(boundary)):
            del self._boundaries[depth:]
            self._in_header, self._checked, self._seven_bit = None, 0, True
        else:
            del self._boundaries[depth + 1 :]
            self._in_header, self._default = Kind.MIME_FIELD, inner
        return self._kind_of(line), line

    def _body(self, line: bytes) -> tuple[Kind, bytes]:
        if self._seven_bit and "strict_8bitmime_body" in self.rules.strict and not line.isascii():
            raise MimeError("improper use of 8-bit data in message body", line)
        return self._kind_of(line), line

    def _kind_of(self, line: bytes) -> Kind:
        if self._checked > self.rules.checked_limit:
            return Kind.PASSED
        self._checked += len(line)
        return Kind.BODY


def _is_transfer_coded(encoding: bytes) -> bool:
    """Whether the octets are a coding's, and say nothing about the content."""
    return encoding in {b"quoted-printable", b"base64"}
