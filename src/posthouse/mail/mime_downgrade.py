"""8-bit content as 7-bit for peers without 8BITMIME: quoted-printable leaves in the MIME tree (RFC 6152, 3)."""

from __future__ import annotations

import re

_ENCODING = re.compile(rb"^content-transfer-encoding:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)
_TYPE = re.compile(
    rb"^content-type:[ \t\r\n]*([a-z0-9!#$&^_.+-]+)/([^;\s]*)((?:[^\n]|\n[ \t])*)", re.IGNORECASE | re.MULTILINE
)
_BOUNDARY = re.compile(rb';\s*boundary\s*=\s*(?:"([^"]*)"|([^;\s]*))', re.IGNORECASE)
_DECLARED = re.compile(rb"^content-transfer-encoding:\s*(?:8bit|binary)", re.IGNORECASE | re.MULTILINE)
MAX_DEPTH = 100
_LINE_LIMIT = 76


def downgrade(header: bytes, body: bytes, depth: int = 0) -> tuple[bytes, bytes]:
    """The entity with the parts encoded that say they are 8-bit; header without, body with the blank line between."""
    if depth > MAX_DEPTH or not (_DECLARED.search(header) or _DECLARED.search(body)):
        return header, body
    blank, text = (b"\n", body[1:]) if body.startswith(b"\n") else (b"", body)
    kind = _TYPE.search(header)
    major, minor = (kind[1].lower(), kind[2].lower()) if kind else (b"text", b"plain")
    if major == b"multipart" and kind:
        boundary = _BOUNDARY.search(kind[3])
        name = (boundary[1] or boundary[2] or b"") if boundary else b""
        if name:
            return _seven_bit(header), blank + _multipart(text, name, depth)
    if major == b"message" and minor in (b"rfc822", b"global"):
        inner = _split(text)
        return _seven_bit(header), blank + b"".join(downgrade(*inner, depth + 1))
    if not _DECLARED.search(header):
        return header, body
    return _set_encoding(header, b"quoted-printable"), blank + quoted_printable(text)


def _split(entity: bytes) -> tuple[bytes, bytes]:
    if entity.startswith(b"\n"):
        return b"", entity
    at = entity.find(b"\n\n")
    return (entity, b"") if at < 0 else (entity[: at + 1], entity[at + 1 :])


def _multipart(text: bytes, boundary: bytes, depth: int) -> bytes:
    delimiter = b"--" + boundary
    pieces = re.split(rb"(^" + re.escape(delimiter) + rb"(?:--)?[ \t]*(?:\n|\Z))", text, flags=re.MULTILINE)
    out = [_preamble(pieces[0])]
    for mark, part in zip(pieces[1::2], pieces[2::2], strict=False):
        out.append(mark)
        closing = mark.rstrip().endswith(b"--") and mark.rstrip() == delimiter + b"--"
        out.append(_preamble(part) if closing else b"".join(downgrade(*_split(part), depth + 1)))
    return b"".join(out)


def _preamble(text: bytes) -> bytes:
    """Text outside the parts is for nobody; what is 8-bit in it becomes "?"."""
    return text if text.isascii() else text.decode("ascii", "replace").replace("\ufffd", "?").encode()


def _seven_bit(header: bytes) -> bytes:
    """The header of a compound part; it says nothing of its encoding where it said nothing before."""
    return _set_encoding(header, b"7bit") if _ENCODING.search(header) else header


def _set_encoding(header: bytes, encoding: bytes) -> bytes:
    line = b"Content-Transfer-Encoding: " + encoding + b"\n"
    return _ENCODING.sub(b"", header) + line


def quoted_printable(text: bytes) -> bytes:
    """RFC 2045, 6.7, with lines of at most 76 characters."""
    return b"\n".join(_quoted_line(line) for line in text.split(b"\n"))


def _quoted_line(line: bytes) -> bytes:
    out, width = [], 0
    last = len(line) - 1
    for at, byte in enumerate(line):
        plain = (33 <= byte <= 126 and byte != 61) or (byte in (32, 9) and at != last)
        piece = bytes((byte,)) if plain else b"=%02X" % byte
        if width + len(piece) > _LINE_LIMIT - 1 and not (at == last and width + len(piece) <= _LINE_LIMIT):
            out.append(b"=\n")
            width = 0
        out.append(piece)
        width += len(piece)
    return b"".join(out)
