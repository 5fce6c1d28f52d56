"""The type and the names of a MIME part, from its header: RFC 2231 and RFC 2047 forms decoded, and as they stand."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_FIELD = re.compile(
    rb"^(Content-(?:Type|Disposition|Transfer-Encoding))[ \t]*:((?:[^\n]|\n[ \t])*)", re.IGNORECASE | re.MULTILINE
)
_PARAMETER = re.compile(r";\s*([^\s=;]{1,80})\s*=\s*(?:\"((?:[^\"\\]|\\.)*+)\"?|([^;]*))")
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(=\?)")
_SECTION = re.compile(r"(name|filename|boundary)(?:\*(\d{1,3}))?(\*?)\Z")
FIELD_LIMIT = 65_536  # bytes of a field that are looked at


@dataclass(frozen=True, slots=True)
class MimeHead:
    """What a part says of itself. type is "text/plain" where it says nothing; boundary is "" where there is none."""

    type: str = "text/plain"
    names: tuple[str, ...] = ()
    boundary: bytes = b""
    encoding: str = ""

    @property
    def is_multipart(self) -> bool:
        return self.type.startswith("multipart/") and bool(self.boundary)


def read_head(header: bytes) -> MimeHead:
    """Read the header of a part (or of the message), LF line ends. A field that comes twice counts twice for names."""
    kind, encoding, boundary, names = "", "", "", list[str]()
    for found in _FIELD.finditer(header):
        name, text = found[1].lower(), found[2][:FIELD_LIMIT].decode("utf-8", "surrogateescape")
        if name == b"content-transfer-encoding":
            encoding = encoding or text.strip().lower()
            continue
        parameters = _parameters(text)
        names += parameters.get("name", []) + parameters.get("filename", [])
        if name == b"content-type" and not kind:
            kind = "".join(text.partition(";")[0].split()).lower()
            boundary = next(iter(parameters.get("boundary", [])), "")
    return MimeHead(
        kind if "/" in kind else "text/plain", tuple(dict.fromkeys(filter(None, names))),
        boundary.encode("utf-8", "surrogateescape")[:200], encoding,
    )  # fmt: skip


def _parameters(text: str) -> dict[str, list[str]]:
    """name, filename and boundary; each name as it stands and, where it is encoded, decoded."""
    found: dict[str, list[str]] = {}
    pieces: dict[str, list[tuple[int, str, bool]]] = {}
    for match in _PARAMETER.finditer(text):
        section = _SECTION.match(match[1].lower())
        if section is None:
            continue
        value = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3].strip()
        if section[2] is not None or section[3]:
            pieces.setdefault(section[1], []).append((int(section[2] or 0), value, bool(section[3])))
        else:
            found.setdefault(section[1], []).extend((value, *_decoded(value)))
    for name, parts in pieces.items():
        found.setdefault(name, []).append(_joined(sorted(parts)))
    return found


def _joined(parts: list[tuple[int, str, bool]]) -> str:
    """The sections of RFC 2231, 3 and 4."""
    charset, data = "utf-8", b""
    for index, (_, value, is_encoded) in enumerate(parts):
        if is_encoded and index == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        data += unquote_to_bytes(value) if is_encoded else value.encode("utf-8", "surrogateescape")
    return _text(data, charset)


def _decoded(value: str) -> list[str]:
    """The encoded words of RFC 2047 decoded, which should not stand within quotes, and often do."""
    if "=?" not in value:
        return []

    def word(match: re.Match[str]) -> str:
        text = match[3].encode("ascii", "replace")
        try:
            data = binascii.a2b_base64(text + b"==") if match[2] in "bB" else binascii.a2b_qp(text, header=True)
        except binascii.Error:
            return match[0]
        return _text(data, match[1].partition("*")[0])

    return [_ENCODED_WORD.sub(word, _BETWEEN_WORDS.sub(r"\1\2", value))]


def _text(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset or "utf-8")
    except (LookupError, ValueError):
        return data.decode("latin-1")
