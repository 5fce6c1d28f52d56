"""message_reject_characters and message_strip_characters: bytes that no message may have (postconf(5))."""

from __future__ import annotations

from posthouse.cleanup.work import Work
from posthouse.mail.content import FilePart
from posthouse.maillog import cleanup as maillog

_TEXT = "disallowed character"


def clean_characters(work: Work) -> None:
    """Refuse or strip. Bodies in files are looked at where they are not stripped, chunk by chunk."""
    rules = work.rules
    if not (rules.rejected_bytes or rules.stripped_bytes):
        return
    if rules.rejected_bytes:
        for part in (work.header, work.body):
            line = _line_in_file(part, rules.rejected_bytes) if isinstance(part, FilePart) else _line(part, work)
            if line is not None:
                raise _refusal(work, line)
    if rules.stripped_bytes:
        work.header = work.header.translate(None, rules.stripped_bytes)
        if isinstance(work.body, FilePart):
            work.log.warning(f"{work.queue_id}: message_strip_characters: large body left as it is")
        else:
            work.body = work.body.translate(None, rules.stripped_bytes)


def _line(part: bytes, work: Work) -> bytes | None:
    """The first line with such a byte."""
    forbidden = work.rules.rejected_bytes
    if len(part.translate(None, forbidden)) == len(part):
        return None
    first = min(place for byte in forbidden if (place := part.find(byte)) >= 0)
    start = part.rfind(b"\n", 0, first) + 1
    end = part.find(b"\n", first)
    return part[start : end if end >= 0 else len(part)]


def _line_in_file(part: FilePart, forbidden: bytes) -> bytes | None:
    with open(part.path, "rb") as file:
        file.seek(part.offset)
        left = part.length
        while left > 0 and (line := file.readline(min(left, 65536))):
            left -= len(line)
            if len(line.translate(None, forbidden)) != len(line):
                return line.rstrip(b"\n")
    return None


def _refusal(work: Work, line: bytes) -> Exception:
    origin = work.submission.envelope.origin
    content = f"content {line.decode('utf-8', 'replace')}"
    addresses = (work.sender, work.last_recipient, f"5.7.1 {_TEXT}")
    work.log.info(maillog.checked(work.queue_id, "reject", content, origin, addresses))
    return work.refuse("5.7.1", 550, _TEXT)
