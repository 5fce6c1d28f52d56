"""Tells the postmaster about sessions that went wrong, with what was said (postconf(5), notify_classes)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from posthouse.config.settings import Settings
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.protocols.smtp_server import Reply
from posthouse.services.intake import Skip, Submission
from posthouse.system.dates import mail_date

if TYPE_CHECKING:
    from posthouse.receive.smtpd.session import Session

CLASSES = frozenset({"policy", "protocol", "resource", "software", "data"})
_UNFILTERED = Skip.HEADER_BODY_CHECKS | Skip.MILTERS | Skip.AUTOMATIC_BCC
LINE_LENGTH = 78
MOST_LINES = 200  # what a session said before is forgotten


class Transcripts:
    """Makes the notices of one service."""

    def __init__(self, settings: Settings) -> None:
        self.classes = CLASSES & {word.lower() for word in settings.items("notify_classes")}
        self._hostname, self._mail_name = settings.text("myhostname"), settings.text("mail_name")
        self._origin = settings.text("myorigin")
        self._sender = f"{settings.text('double_bounce_sender')}@{self._origin}"
        self._recipient = settings.text("error_notice_recipient")
        is_filtered = "notify" in settings.items("internal_mail_filter_classes")
        self._skip = Skip.AUTOMATIC_BCC if is_filtered else _UNFILTERED

    def concerns(self, session: Session) -> bool:
        """Whether the postmaster wants to hear of this session."""
        return not self.classes.isdisjoint(session.blames)

    def notice(self, session: Session, queue_id: str) -> Submission:
        """The message about a session that is over."""
        now = time.time()
        date = mail_date(now)
        header = (
            f"Received: by {self._hostname} ({self._mail_name})\n\tid {queue_id}; {date}\n"
            f"Date: {date}\n"
            f"From: Mail Delivery System <MAILER-DAEMON@{self._origin}>\n"
            f"To: Postmaster <{self._recipient}>\n"
            f"Subject: {self._mail_name} SMTP server: errors from {session.client}\n"
        )
        body = "\nTranscript of session follows.\n\n" + "".join(_said(session)) + "\n"
        if session.aborted:
            body += f"Session aborted, reason: {session.aborted}\n"
        body += "\nFor other details, see the local mail logfile\n"
        return Submission(
            envelope=Envelope(self._sender, (Recipient(self._recipient),)),
            content=Content(header.encode("utf-8", "replace"), body.encode("utf-8", "replace")),
            arrival=now,
            queue_id=queue_id,
            skip=self._skip,
            mail_class="notify",
        )


def _said(session: Session) -> list[str]:
    rows: list[str] = []
    for said in session.history:
        if isinstance(said, Reply):
            text = said.wire(session.service.footer(session, said)).decode("utf-8", "replace")
            for line in text.removesuffix("\r\n").split("\r\n"):
                rows += _wrapped(f"Out: {line}")
        else:
            line = said.decode("utf-8", "replace")
            shown = line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line)
            rows += _wrapped(f"In:  {shown}")
    return rows


def _wrapped(text: str) -> list[str]:
    """The text in lines of at most 78 columns behind a blank, those after the first indented by four."""
    rows: list[str] = []
    line = ""
    for word in text.split(" "):
        if line.strip() and len(line) + 1 + len(word) > LINE_LENGTH:
            rows.append(f" {line.rstrip()}\n")
            line = f"    {word}"
        else:
            line = f"{line} {word}" if line else word
    return [*rows, f" {line.rstrip()}\n"]
