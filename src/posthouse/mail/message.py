"""A message in the queue."""

from __future__ import annotations

from dataclasses import dataclass, field

from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope
from posthouse.mail.outcome import Deferred


@dataclass(slots=True)
class QueuedMessage:
    """A message that the queue has, or is about to have.

    Recipients are known by their index in envelope.recipients. done are those that are finished (sent or bounced),
    deferred those that wait, with the reason. arrival and due are Unix times (s); due is when to try next.
    size is the content's size in bytes as it is logged. attempts counts the tries so far, of any recipient.
    hold: an administrator or a rule keeps it back. warned: the delay warning has been sent.
    """

    queue_id: str
    arrival: float
    envelope: Envelope
    content: Content
    size: int
    due: float = 0.0
    attempts: int = 0
    hold: bool = False
    warned: bool = False
    forced_expire: bool = False
    done: set[int] = field(default_factory=set)
    deferred: dict[int, Deferred] = field(default_factory=dict)

    @property
    def open_recipients(self) -> list[int]:
        """Indexes of the recipients that still want delivery, in order."""
        return [index for index in range(len(self.envelope.recipients)) if index not in self.done]
