"""The joint between whoever has a new message (smtpd, pickup, bounce, local's forwarding) and cleanup and the queue."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope
from posthouse.mail.message import QueuedMessage
from posthouse.mail.status import Status


class Skip(IntFlag):
    """Steps of cleanup that a submission does without (receive_override_options, and mail made by the house itself)."""

    NOTHING = 0
    ADDRESS_MAPPINGS = 1  # canonical, masquerade, virtual alias, bcc
    HEADER_BODY_CHECKS = 2
    MILTERS = 4
    UNKNOWN_RECIPIENT_CHECKS = 8
    AUTOMATIC_BCC = 16  # always_bcc and its like; the house's own mail never gets them


@dataclass(frozen=True, slots=True)
class Submission:
    """A message on its way in.

    content has its line ends as LF and already carries the receiver's Received: field on top.
    cleanup_service names the service of master.cf whose settings apply. hold, discard and redirect are the actions of
    access tables (hold and discard carry the text for the log, None without). extra_bcc are recipients added by BCC.
    milters are those that the receiver has told of the envelope (posthouse.filters.milters.Milters).
    mail_class is a word of smtputf8_autodetect_classes. queue_id may be "" where the receiver did not need one before.
    arrival is a Unix time (s). by_recipient: the client can hear an answer for each recipient (LMTP).
    """

    envelope: Envelope
    content: Content
    arrival: float
    queue_id: str = ""
    cleanup_service: str = "cleanup"
    skip: Skip = Skip.NOTHING
    hold: str | None = None
    discard: str | None = None
    redirect: str = ""
    extra_bcc: tuple[str, ...] = ()
    milters: object | None = None
    mail_class: str = "bounce"
    by_recipient: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message is on stable storage. said is what the client hears instead of "Ok: queued as", where it is set.
    statuses, one for each recipient, are for a client that asked for them (LMTP); some may be refusals.
    """

    queue_id: str
    said: Status | None = None
    statuses: tuple[Status, ...] = ()


@dataclass(frozen=True, slots=True)
class Discarded:
    """A rule threw the message away; the client hears the same as for an accepted one."""

    queue_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The message was not taken; nothing of it is kept. sender and header are what cleanup had made of them, for who
    sends it back (None: it came to nothing).
    """

    status: Status
    sender: str | None = None
    header: bytes | None = None


class Intake(Protocol):
    """Takes messages in."""

    def new_queue_id(self) -> str:
        """A queue id that no other message has."""
        ...

    async def take(self, submission: Submission) -> Accepted | Discarded | Refused:
        """Clean the message up and queue it; returns when it is durable (or not taken). Never raises for bad mail."""
        ...

    async def keep(self, message: QueuedMessage) -> Accepted | Refused:
        """Queue a message that is fit already; returns when it is durable (or not taken)."""
        ...


class Cleanup(Protocol):
    """Makes a submission fit for the queue (cleanup(8))."""

    async def make_fit(self, submission: Submission) -> QueuedMessage | Discarded | Refused:
        """The message as the queue shall keep it. submission.queue_id is set. Logs what cleanup(8) logs."""
        ...
