"""How a message is written down in a store: its envelope as compact JSON, its content as bytes.

JSON, because it is the same in every version of Python and can be read with any tool in an emergency.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Notify, Origin, Recipient, Trace
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status

_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_ORIGIN_FIELDS = tuple(field.name for field in fields(Origin))
_PLAIN_FIELDS = (
    ("sender_fullname", ""),
    ("envid", ""),
    ("ret", ""),
    ("encoding", ""),
    ("smtputf8", False),
    ("rewrite_context", "local"),
    ("content_filter", ""),
    ("verp", ""),
)
_LOCAL = Origin()


def write_envelope(envelope: Envelope) -> str:
    """The envelope as text; what has its default value is left out. The sender has a column of its own."""
    record: dict[str, Any] = {"to": [_recipient(recipient) for recipient in envelope.recipients]}
    for name, default in _PLAIN_FIELDS:
        value = getattr(envelope, name)
        if value != default:
            record[name] = value
    if envelope.trace:
        record["trace"] = int(envelope.trace)
    if envelope.expanded:
        record["expanded"] = [_recipient(recipient) for recipient in envelope.expanded]
    origin = envelope.origin
    if origin is not _LOCAL and origin != _LOCAL:
        record["origin"] = [getattr(origin, name) for name in _ORIGIN_FIELDS]
    return _storable(_encode(record))


def _storable(text: str) -> str:
    """Addresses may hold bytes that are no UTF-8 (as surrogates); those are escaped, which JSON reads back."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(json.loads(text), separators=(",", ":"))
    return text


def _recipient(recipient: Recipient) -> str | list[Any]:
    if recipient.notify or recipient.orcpt or recipient.original:
        return [recipient.address, recipient.original, recipient.orcpt, int(recipient.notify)]
    return recipient.address


def read_envelope(sender: str, text: str) -> Envelope:
    """The envelope that write_envelope wrote. Raises ValueError, KeyError or TypeError for anything else."""
    record = json.loads(text)
    recipients = _read_recipients(record.pop("to"))
    expanded = _read_recipients(record.pop("expanded", ()))
    trace = Trace(record.pop("trace", 0))
    origin = Origin(*record.pop("origin", ()))
    known = {name: record[name] for name, _ in _PLAIN_FIELDS if name in record}
    return Envelope(sender, recipients, trace=trace, origin=origin, expanded=expanded, **known)


def _read_recipients(items: Sequence[str | list[Any]]) -> tuple[Recipient, ...]:
    return tuple(
        Recipient(item) if isinstance(item, str) else Recipient(item[0], item[1], item[2], Notify(item[3]))
        for item in items
    )


def recipient_addresses(text: str) -> list[str]:
    """Only the addresses of an envelope (for listings)."""
    return [item if isinstance(item, str) else item[0] for item in json.loads(text)["to"]]


def write_sender(sender: str) -> str | bytes:
    """A sender fit for a column of text; bytes where it is no UTF-8."""
    try:
        sender.encode()
    except UnicodeEncodeError:
        return sender.encode("utf-8", "surrogateescape")
    return sender


def read_sender(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def write_progress(done: list[int], deferred: dict[int, Deferred], *, warned: bool, attempts: int) -> str:
    """What changed for some recipients."""
    waiting = {
        index: [
            item.status.dsn,
            item.status.code,
            item.status.text,
            item.status.reason,
            item.relay,
            item.remote_mta,
            item.diagnostic,
        ]
        for index, item in deferred.items()
    }
    return json.dumps({"d": done, "w": waiting, "s": int(warned), "a": attempts}, separators=(",", ":"))


def apply_progress(message: QueuedMessage, text: str) -> None:
    """Bring the message up to date with one record of progress; later records count over earlier ones."""
    record = json.loads(text)
    for number, (dsn, code, words, reason, relay, remote_mta, diagnostic) in record["w"].items():
        message.deferred[int(number)] = Deferred(Status(dsn, code, words, reason), relay, remote_mta, diagnostic)
    for index in record["d"]:
        message.done.add(index)
        message.deferred.pop(index, None)
    message.warned = message.warned or bool(record["s"])
    message.attempts += record["a"]


def note_reasons(text: str, done: set[int], reasons: dict[int, str]) -> None:
    """What a listing shows of one record of progress: who is done, and why the others wait."""
    record = json.loads(text)
    for number, fields_of_one in record["w"].items():
        reasons[int(number)] = fields_of_one[2]
    for index in record["d"]:
        done.add(index)
        reasons.pop(index, None)


def write_content(content: Content) -> tuple[bytes, int, str | None]:
    """(bytes kept in the row, length of the header in them, "name offset length" of the spool file or None)."""
    if isinstance(content.body, bytes):
        return content.header + content.body, len(content.header), None
    part = content.body
    return content.header, len(content.header), f"{part.path.rpartition('/')[2]} {part.offset} {part.length}"


def read_content(kept: bytes, header_length: int, spooled: str | None, spool_directory: str) -> Content:
    """The content that write_content wrote."""
    if spooled is None:
        return Content(kept[:header_length], kept[header_length:])
    name, offset, length = spooled.split(" ")
    return Content(kept, FilePart(f"{spool_directory}/{name}", int(offset), int(length)))
