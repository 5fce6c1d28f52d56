"""strict_7bit_headers, strict_8bitmime_body, strict_mime_encoding_domain: mail that breaks MIME's rules (RFC 2045)."""

from __future__ import annotations

from posthouse.cleanup.work import Work
from posthouse.mail.content import FilePart
from posthouse.mail.headers import divide, name_of, value_of
from posthouse.mail.mime_lines import ContentType, content_type
from posthouse.maillog import cleanup as maillog

_HEADER = "improper use of 8-bit data in message header"
_BODY = "improper use of 8-bit data in message body"
_DOMAIN = "invalid message/* or multipart/* encoding domain"
_IDENTITY = frozenset({b"7bit", b"8bit", b"binary"})


def check_strictness(work: Work) -> None:
    """Refuse with 5.6.0 what a strict setting forbids. Of a body only the message's own part is looked at."""
    rules = work.rules
    if not rules.strict or not rules.reads_mime:
        return
    fields = work.fields if work.fields is not None else divide(work.header).fields
    if "strict_7bit_headers" in rules.strict and not work.submission.envelope.smtputf8:
        for field in fields:
            if not field.isascii():
                raise _refusal(work, _HEADER, field)
    kind = next((found for field in fields if (found := content_type(field)) is not None), None)
    encoding = next((value_of(field) for field in fields if name_of(field) == b"content-transfer-encoding"), b"7bit")
    _check_encoding(work, kind, encoding)


def _check_encoding(work: Work, kind: ContentType | None, encoding: bytes) -> None:
    rules = work.rules
    composite = kind is not None and kind.kind in {b"multipart", b"message"}
    if composite:
        if "strict_mime_encoding_domain" in rules.strict and encoding.lower() not in _IDENTITY:
            raise _refusal(work, _DOMAIN, encoding)
        return
    if "strict_8bitmime_body" not in rules.strict or encoding.lower() in {b"8bit", b"binary"}:
        return
    if not isinstance(work.body, FilePart) and not work.body.isascii():
        line = next(line for line in work.body.split(b"\n") if not line.isascii())
        raise _refusal(work, _BODY, line)


def _refusal(work: Work, text: str, what: bytes) -> Exception:
    shown = what.decode("utf-8", "replace")
    addresses = (work.sender, work.last_recipient)
    work.log.info(maillog.mime_error(work.queue_id, f"{text}: {shown}", work.submission.envelope.origin, addresses))
    return work.refuse("5.6.0", 550, text)
