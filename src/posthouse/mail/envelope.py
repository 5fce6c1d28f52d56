"""The envelope of a message: its sender, its recipients and what came with them (RFC 5321, RFC 3461, RFC 6531)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag


class Notify(IntFlag):
    """NOTIFY of RCPT TO (RFC 3461, 4.1); DEFAULT where the sender said nothing."""

    DEFAULT = 0
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8


class Trace(IntFlag):
    """Why a message exists only to be asked about, or is followed closely."""

    NONE = 0
    REPORT_ONLY = 1  # sendmail -bv: say how it would be delivered, deliver nothing, mail a report to the sender
    REPORT_DELIVERY = 2  # sendmail -v: deliver, and mail a report
    PROBE = 4  # address verification: deliver nothing, tell verify


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient. address is in internal form (no quoting); original is the address before aliases ("" = the same);
    orcpt is ORCPT decoded, "rfc822;user@host", or "".
    """

    address: str
    original: str = ""
    orcpt: str = ""
    notify: Notify = Notify.DEFAULT


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came in; the fields are those of XFORWARD and of pipe(8)'s macros. Unknown is ""."""

    client_name: str = ""
    client_address: str = ""
    client_port: str = ""
    helo_name: str = ""
    protocol_name: str = ""
    reverse_client_name: str = ""
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str = ""
    identifier: str = ""  # the queue id it had elsewhere (XFORWARD IDENT)
    source: str = "LOCAL"  # XFORWARD SOURCE: LOCAL or REMOTE
    server_address: str = ""  # where the client connected to
    server_port: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """sender "" is the null sender. rewrite_context is "local" or "remote" ("" = do not touch headers).

    encoding is "7BIT", "8BITMIME" or "" (not said); ret is "FULL", "HDRS" or "".
    content_filter is transport:nexthop from FILTER or content_filter; verp is the two VERP delimiters or "".
    expanded are recipients that an alias replaced and that asked to hear of success (RFC 3461, 5.2.7.3).
    """

    sender: str
    recipients: tuple[Recipient, ...]
    sender_fullname: str = ""
    envid: str = ""
    ret: str = ""
    encoding: str = ""
    smtputf8: bool = False
    origin: Origin = field(default_factory=Origin)
    rewrite_context: str = "local"
    content_filter: str = ""
    verp: str = ""
    trace: Trace = Trace.NONE
    expanded: tuple[Recipient, ...] = ()
