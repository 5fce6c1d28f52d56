"""Adds fields that mail from here must have: Message-Id, Date, From, To (cleanup(8), always_add_missing_headers)."""

from __future__ import annotations

import re
import time

from posthouse.cleanup.work import Work
from posthouse.mail.address import quote_address
from posthouse.mail.headers import is_field
from posthouse.maillog import cleanup as maillog

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ \x80-\U0010ffff-]+\Z")
_DESTINATIONS = frozenset({b"to", b"resent-to", b"cc", b"resent-cc"})


def add_missing_headers(work: Work) -> None:
    """At the end of the header. Where a Resent- field is present, the Resent- variants are what must not be missing."""
    adds = bool(work.context) or work.rules.always_adds_headers
    prefix = "Resent-" if work.resent else ""
    lowered = prefix.lower().encode()
    fields = work.fields if work.fields is not None else []
    if adds and lowered + b"message-id" not in work.present:
        value = f"<{_message_id(work)}>"
        fields.append(f"{prefix}Message-Id: {value}".encode())
        work.log.info(maillog.message_id(work.queue_id, value, resent=work.resent))
        work.present.add(lowered + b"message-id")
    if b"message-id" not in work.present:
        work.log.info(maillog.message_id(work.queue_id, "<>"))
    if not adds:
        return
    if lowered + b"date" not in work.present:
        fields.append(f"{prefix}Date: {mail_date(work.submission.arrival)}".encode())
    if lowered + b"from" not in work.present:
        fields.append(f"{prefix}From: {_from(work)}".encode("utf-8", "surrogateescape"))
    undisclosed = work.rules.undisclosed
    if undisclosed and not work.present & _DESTINATIONS:
        if is_field(undisclosed.encode()):
            fields.append(undisclosed.encode("utf-8", "surrogateescape"))
        else:
            what = 'need "headername: headervalue"'
            work.log.warning(f'bad undisclosed_recipients_header header text "{undisclosed}" -- {what}')


def _message_id(work: Work) -> str:
    if work.rules.long_queue_ids:
        return f"{work.queue_id}@{work.rules.myhostname}"
    moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(work.submission.arrival))
    return f"{moment}.{work.queue_id}@{work.rules.myhostname}"


def mail_date(moment: float) -> str:
    """A Unix time as "Sun, 22 Nov 2026 16:00:42 +0000 (UTC)" in local time (RFC 5322, 3.3)."""
    local = time.localtime(moment)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[local.tm_wday]
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    minutes = abs(local.tm_gmtoff) // 60
    offset = f"{'-' if local.tm_gmtoff < 0 else '+'}{minutes // 60:02}{minutes % 60:02}"
    clock = f"{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02}"
    date = f"{local.tm_mday} {months[local.tm_mon - 1]} {local.tm_year}"
    return f"{day}, {date} {clock} {offset} ({local.tm_zone})"


def _from(work: Work) -> str:
    if not work.sender:
        return "MAILER-DAEMON"
    address = quote_address(work.sender)
    name = work.submission.envelope.sender_fullname
    if not name:
        return address
    if work.rules.from_format == "obsolete":
        return f"{address} ({name})"
    shown = " ".join(name.split()) if _ATOMS.match(name) else '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    return f"{shown} <{address}>".lstrip()
