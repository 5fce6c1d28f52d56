"""A message on its way through the steps of cleanup(8)."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field

from posthouse.cleanup.rules import Rules
from posthouse.errors import PermanentFailure, TemporaryFailure
from posthouse.filters.milters import Milters
from posthouse.mail.content import FilePart
from posthouse.mail.envelope import Recipient
from posthouse.mail.mime_lines import MimeError
from posthouse.mail.status import Status
from posthouse.maillog import cleanup as maillog
from posthouse.services.intake import Skip, Submission
from posthouse.services.resolving import Rewriter
from posthouse.system.log import DaemonLog


@dataclass(slots=True)
class Work:
    """What the steps read and change. context says how header addresses are completed ("" leaves headers alone).

    fields are the header's, without last LF; header_text holds the header until a step needs it divided.
    last_recipient is for the log and for recipient_bcc_maps. present are the names of the fields
    that matter. unchecked: a rule has exempted the message from further checks. refusal ends the work after the header,
    whose message id is logged all the same.
    """

    submission: Submission
    rules: Rules
    rewriter: Rewriter
    log: DaemonLog
    sender: str
    header: bytes
    body: bytes | FilePart
    context: str
    recipients: list[Recipient] = field(default_factory=list)
    expanded: list[Recipient] = field(default_factory=list)
    seen: set[tuple[str, int, str, str]] = field(default_factory=set)
    fields: list[bytes] | None = None
    prepended: list[bytes] = field(default_factory=list)
    hold: bool = False
    discard: bool = False
    redirect: str = ""
    refusal: PermanentFailure | TemporaryFailure | None = None
    content_filter: str = ""
    resent: bool = False
    present: set[bytes] = field(default_factory=set)
    last_recipient: str = ""
    hops: int = 0
    unchecked: bool = False
    check_bcc: list[str] = field(default_factory=list)
    milters: Milters | None = None
    envelope_changes: dict[str, str] = field(default_factory=dict)

    @property
    def queue_id(self) -> str:
        return self.submission.queue_id

    @property
    def maps_addresses(self) -> bool:
        skip = self.submission.skip
        return not (skip and skip & Skip.ADDRESS_MAPPINGS)

    @property
    def adds_bcc(self) -> bool:
        skip = self.submission.skip
        return not (skip and skip & (Skip.ADDRESS_MAPPINGS | Skip.AUTOMATIC_BCC))

    def replace_file(self, new: FilePart) -> None:
        """Go on with another body file. The one that came with the submission stays its owner's."""
        self.drop_file()
        self.body = new

    def drop_file(self) -> None:
        """Remove a body file that cleanup itself has made, if there is one."""
        given = self.submission.content.body
        if isinstance(self.body, FilePart) and not (isinstance(given, FilePart) and given.path == self.body.path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.body.path)

    def refuse(self, dsn: str, code: int, text: str) -> PermanentFailure | TemporaryFailure:
        """The exception that ends the work; the receiver answers with this status."""
        status = Status(dsn, code, text)
        return TemporaryFailure(status) if status.is_temporary else PermanentFailure(status)

    def refuse_mime(self, error: MimeError) -> PermanentFailure | TemporaryFailure:
        """The exception for a message that breaks a rule of MIME."""
        what = error.what.rstrip(b"\n").decode("utf-8", "replace")
        text = f"{error.text}: {what}"
        addresses = (self.sender, self.last_recipient)
        self.log.info(maillog.mime_error(self.queue_id, text, self.submission.envelope.origin, addresses))
        return self.refuse("5.6.0", 550, error.text)

    def lookup_problem(self, maps: str, subject: str) -> PermanentFailure | TemporaryFailure:
        """A table could not answer."""
        self.log.warning(maillog.not_accepted(self.queue_id, f"{maps} map lookup problem{subject}"))
        return self.refuse("4.3.0", 451, "Error: queue file write error")
