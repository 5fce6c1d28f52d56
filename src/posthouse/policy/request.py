"""What policy knows of a session and its transaction: what restrictions look at (words as in SMTPD_POLICY_README)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Request:
    """Filled by the SMTP session as facts become known. Names and addresses are text, "unknown" where Postfix says so.

    client_name is the verified name ("unknown" if none), reverse_client_name the PTR name (unverified).
    client_name_code and reverse_client_name_code are 2, 4 or 5: known, temporary failure, does not exist.
    helo_name is None before HELO; sender is None before MAIL (and "" is the null sender); recipient likewise.
    recipient_count counts recipients accepted so far; size is SIZE= (bytes, 0 not said), at end of data the real one.
    protocol_state is CONNECT, HELO, EHLO, MAIL, RCPT, DATA, END-OF-MESSAGE, VRFY or ETRN.
    pipelined_unexpectedly tells of the form in which commands came. queue_id is "" before there is one.
    header gives the message's header at its end (LF line ends), None before.
    memory is policy's own, from one command of the session to the next; a session keeps it, or one Request, throughout.
    """

    client_address: str
    client_port: str = ""
    client_name: str = "unknown"
    reverse_client_name: str = "unknown"
    client_name_code: int = 2
    reverse_client_name_code: int = 2
    server_address: str = ""
    server_port: str = ""
    helo_name: str | None = None
    protocol_name: str = "SMTP"
    protocol_state: str = "CONNECT"
    sender: str | None = None
    recipient: str | None = None
    etrn_domain: str = ""
    recipient_count: int = 0
    size: int = 0
    queue_id: str = ""
    instance: str = ""
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str = ""
    ccert_subject: str = ""
    ccert_issuer: str = ""
    ccert_fingerprint: str = ""
    ccert_pubkey_fingerprint: str = ""
    encryption_protocol: str = ""
    encryption_cipher: str = ""
    encryption_keysize: int = 0
    smtputf8: bool = False
    dsn_envid: str = ""
    pipelined_unexpectedly: bool = False
    stress: str = ""
    header: Callable[[], bytes] | None = None
    notes: dict[str, str] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
