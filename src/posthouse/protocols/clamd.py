"""ClamAV's daemon protocol as values: a message streamed to clamd, and its verdict (clamd(8), INSTREAM)."""

from __future__ import annotations

import re

from posthouse.errors import ProtocolError

COMMAND = b"zINSTREAM\0"
END = b"\0\0\0\0"
MAX_ANSWER = 16 * 1024
_FOUND = re.compile(r"stream: (.+?)(?:\([0-9a-f]+:\d+\))? FOUND\Z")


def chunk(data: bytes) -> bytes:
    """A piece of the message with its length before it."""
    return len(data).to_bytes(4, "big") + data


def answer(data: bytes) -> str:
    """The name of what was found, "" for nothing. Raises ProtocolError for errors and for what is no answer."""
    text = data.rstrip(b"\0\r\n").decode("utf-8", "replace")
    if text == "stream: OK":
        return ""
    found = _FOUND.match(text)
    if found is None:
        raise ProtocolError(f"clamd: {text[:200] or 'no answer'}")
    return found[1]
