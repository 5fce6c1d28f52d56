"""The lookup keys of a message, for `postmap -h` and `-b`: fields whole, body lines one by one (postmap(1))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_FIELD = re.compile(r"[!-9;-~]+[ \t]*:")
_BOUNDARY = re.compile(r'boundary[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_NESTING_LIMIT = 100


def message_keys(lines: Iterable[str], *, headers: bool, body: bool, mime: bool) -> Iterator[str]:
    """Header fields with their line ends inside (headers), body lines (body), the empty line between them the first;
    mime: fields of parts are headers too.
    """
    reader = _Reader(mime=mime)
    for is_header, text in reader.read(lines):
        if headers if is_header else body:
            yield text


class _Reader:
    """Where in a message the next line stands."""

    def __init__(self, *, mime: bool) -> None:
        self._mime = mime
        self._field: list[str] = []
        self._boundaries: list[str] = []
        self._embedded = False

    def read(self, lines: Iterable[str]) -> Iterator[tuple[bool, str]]:
        """(is a header field, text) of each field and each line of the body."""
        in_header = True
        for line in lines:
            text = line.rstrip("\r\n")
            if in_header:
                if text[:1] in (" ", "\t") and self._field:
                    self._field.append(text)
                    continue
                yield from self._finish_field()
                if _FIELD.match(text):
                    self._field = [text]
                    continue
                in_header = self._embedded and not text
                self._embedded = False
            if self._mime and self._is_boundary(text):
                in_header = not text.endswith("--") or self._open_again(text)
                continue
            yield False, text
        yield from self._finish_field()

    def _finish_field(self) -> Iterator[tuple[bool, str]]:
        if not self._field:
            return
        text = "\n".join(self._field)
        self._field = []
        if self._mime and text[:13].lower() == "content-type:":
            kind = text[13:].strip().lower()
            self._embedded = kind.startswith("message/rfc822")
            found = _BOUNDARY.search(text)
            if kind.startswith("multipart/") and found and len(self._boundaries) < _NESTING_LIMIT:
                self._boundaries.append(found[1] or found[2])
        yield True, text

    def _is_boundary(self, text: str) -> bool:
        if not text.startswith("--"):
            return False
        inner = text[2:].rstrip()
        for depth in range(len(self._boundaries) - 1, -1, -1):
            boundary = self._boundaries[depth]
            if inner in (boundary, boundary + "--"):
                del self._boundaries[depth + (inner == boundary) :]
                return True
        return False

    def _open_again(self, text: str) -> bool:
        """A boundary that itself ends in "--" opens a part."""
        return bool(self._boundaries) and text[2:].rstrip() == self._boundaries[-1]


__all__ = ["message_keys"]
