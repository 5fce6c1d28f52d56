"""The form of a file in maildrop/: one line that holds the envelope, then the content as sendmail(1) took it."""

from __future__ import annotations

import json
from typing import Any

from posthouse.errors import ProtocolError
from posthouse.mail.envelope import Envelope, Notify, Recipient, Trace

FORM = "posthouse-maildrop-1"
ENVELOPE_LIMIT = 8 * 1024 * 1024  # bytes of the first line; 50,000 recipients fit


def write_envelope(envelope: Envelope, arrival: float) -> bytes:
    """The first line, with its LF. arrival is a Unix time (s)."""
    recipients = [[r.address, r.orcpt, int(r.notify)] for r in envelope.recipients]
    record = {
        "form": FORM,
        "sender": envelope.sender,
        "fullname": envelope.sender_fullname,
        "recipients": recipients,
        "envid": envelope.envid,
        "ret": envelope.ret,
        "encoding": envelope.encoding,
        "smtputf8": envelope.smtputf8,
        "verp": envelope.verp,
        "context": envelope.rewrite_context,
        "trace": int(envelope.trace),
        "arrival": arrival,
    }
    return json.dumps(record).encode("ascii") + b"\n"


def read_envelope(line: bytes) -> tuple[Envelope, float]:
    """Envelope and arrival from the first line. Raises ProtocolError: anybody can write such a file."""
    try:
        record = json.loads(line)
        if not isinstance(record, dict) or record.get("form") != FORM:
            raise ProtocolError("not a maildrop file")
        return _envelope(record), float(record["arrival"])
    except (ValueError, KeyError, TypeError, RecursionError) as trouble:
        raise ProtocolError(f"damaged: {type(trouble).__name__}") from trouble


def _envelope(record: dict[str, Any]) -> Envelope:
    recipients = tuple(
        Recipient(_line(address), orcpt=_line(orcpt), notify=Notify(int(notify) & 15))
        for address, orcpt, notify in record["recipients"]
    )
    trace = Trace(int(record["trace"])) & (Trace.REPORT_ONLY | Trace.REPORT_DELIVERY)
    return Envelope(
        sender=_line(record["sender"]),
        recipients=recipients,
        sender_fullname=_line(record["fullname"]),
        envid=_line(record["envid"]),
        ret=record["ret"] if record["ret"] in ("FULL", "HDRS") else "",
        encoding=record["encoding"] if record["encoding"] in ("7BIT", "8BITMIME") else "",
        smtputf8=bool(record["smtputf8"]),
        verp=_line(record["verp"]),
        rewrite_context="remote" if record.get("context") == "remote" else "local",
        trace=trace,
    )


def _line(value: Any) -> str:
    """Text without line breaks and NUL, which would break out of the fields that it is put into."""
    if not isinstance(value, str) or any(character in value for character in "\r\n\0"):
        raise ProtocolError("a value is not a line of text")
    return value
