"""How much the active queue takes at a time: messages, recipients, bytes (qmgr_message_active_limit ... in qmgr(8))."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.mail.content import FilePart
from posthouse.mail.message import QueuedMessage

CONTENT_LIMIT = 128 * 1024 * 1024  # bytes of message content
RECORD_SIZE = 2_000  # bytes that a message costs beside its content


class Room:
    """Counts what is in the active queue. share: of the limits, from 0 to 1."""

    def __init__(self, settings: Settings) -> None:
        self._message_limit = settings.integer("qmgr_message_active_limit")
        self._recipient_limit = settings.integer("qmgr_message_recipient_limit")
        self._always_taken = settings.integer("qmgr_message_recipient_minimum")
        self._messages = self._recipients = self._content = 0

    def has_any(self, share: float = 1.0) -> bool:
        """Whether messages for few recipients find room. Those for many never shut them out."""
        return self._messages < self._message_limit * share and self._content < CONTENT_LIMIT * share

    def has_for(self, recipients: int, share: float = 1.0) -> bool:
        """Whether a message with so many recipients finds room."""
        few = recipients <= self._always_taken or self._recipients < self._recipient_limit * share
        return few and self.has_any(share)

    def left(self, share: float) -> int:
        """How many more messages; at least 1."""
        return max(int(self._message_limit * share) - self._messages, 1)

    def take(self, message: QueuedMessage, recipients: int) -> int:
        """A message comes in; how many recipients it counts for. A newsletter leaves room for other mail."""
        recipients = min(recipients, self._recipient_limit // 4 + 1)
        self._messages += 1
        self._recipients += recipients
        self._content += _cost(message)
        return recipients

    def give_back(self, message: QueuedMessage, recipients: int) -> None:
        """A message has gone; recipients as taken."""
        self._messages -= 1
        self._recipients -= recipients
        self._content -= _cost(message)


def _cost(message: QueuedMessage) -> int:
    body = message.content.body
    return RECORD_SIZE + (0 if isinstance(body, FilePart) else message.size)
