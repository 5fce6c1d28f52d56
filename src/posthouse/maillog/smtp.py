"""The lines that smtp(8) writes to the log besides those of deliveries."""

from __future__ import annotations

_CONTENT_LIMIT = 60


def checked(queue_id: str, action: str, content: str, text: str) -> str:
    """A content check's action as mail leaves. content is "header Subject: x" or "body text"; text "" for none."""
    kind, _, rest = content.partition(" ")
    line = f"{queue_id}: {action}: {kind} {_printable(rest[:_CONTENT_LIMIT])}"
    return f"{line}: {_printable(text)}" if text else line


def reply_replaced(server: str, old: str, new: str) -> str:
    """Server is "mx.example.net[192.0.2.1]:25"."""
    return f'{server}: replacing server reply "{_printable(old)}" with "{_printable(new)}"'


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
