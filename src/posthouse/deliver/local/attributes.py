"""What is known of one step of a local delivery: for whom, by whose rights, and how it came about."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from posthouse.mail.address import split_extension
from posthouse.mail.envelope import Notify, Recipient
from posthouse.mail.outcome import Outcome
from posthouse.services.delivery import DeliveryRequest, Result
from posthouse.system.users import User

ALIAS, FORWARD, INCLUDE = "alias", "forward", "include"


@dataclass(frozen=True, slots=True)
class Attributes:
    """A step. recipient.address is the one of this step, local its local part in lower case, user and extension the
    parts of that. delivered is what Delivered-To shall say; sender the envelope sender for what is forwarded; owner
    (None none) who hears of problems with the list. via is ALIAS, FORWARD, INCLUDE or "". rights None: nobody's (the
    default user's for commands and files). unmatched is the extension that is still to be propagated.
    """

    recipient: Recipient
    sender: str
    local: str = ""
    user: str = ""
    extension: str = ""
    domain: str = ""
    delimiter: str = ""
    delivered: str = ""
    owner: str | None = None
    via: str = ""
    expanded_from: str = ""
    unmatched: str = ""
    level: int = 0
    rights: User | None = None


@dataclass(slots=True)
class Progress:
    """What one recipient's delivery has come to so far: results, what is to be forwarded, what was seen already."""

    request: DeliveryRequest
    index: int
    top: Recipient
    seen_fields: set[str]
    duplicate_limit: int
    results: list[Result] = field(default_factory=list)
    forwards: dict[tuple[str, str], list[Recipient]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        """How much there is to show for the delivery: results, and addresses to forward to."""
        return len(self.results) + sum(map(len, self.forwards.values()))

    def is_first(self, what: str) -> bool:
        """Whether this is seen for the first time; remembers at most duplicate_filter_limit things (0 no limit)."""
        key = what.lower()
        if key in self._seen:
            return False
        if not self.duplicate_limit or len(self._seen) < self.duplicate_limit:
            self._seen.add(key)
        return True

    def has_seen(self, what: str) -> bool:
        """Whether is_first was asked for this."""
        return what.lower() in self._seen

    def take(self, attributes: Attributes, outcome: Outcome | None) -> None:
        """Add what became of a recipient, logged under its address of now; None adds nothing."""
        if outcome is None:
            return
        recipient = attributes.recipient
        if attributes.sender != self.request.message.envelope.sender:
            recipient = replace(recipient, original="", orcpt="")
        elif recipient.original == recipient.address:
            recipient = replace(recipient, original="")
        self.results.append(Result(self.index, outcome, finished=time.time(), logged_recipient=recipient))

    def take_unlogged(self, attributes: Attributes, outcome: Outcome) -> None:
        """Add what only a notice of success tells of."""
        now, recipient = time.time(), attributes.recipient
        self.results.append(Result(self.index, outcome, finished=now, logged_recipient=recipient, unlogged=True))

    def take_all(self, attributes: Attributes, outcome: Outcome | list[Result]) -> None:
        """As take, for one outcome or for results that are complete."""
        if isinstance(outcome, list):
            self.results.extend(outcome)
        else:
            self.take(attributes, outcome)


def address_parts(address: str, delimiters: str) -> tuple[str, str, str, str, str]:
    """Local (lower case), user, extension, domain, and the delimiter that stood before the extension."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = domain, ""
    local = local.lower()
    user, extension = split_extension(local, delimiters)
    delimiter = local[len(user)] if extension or len(user) < len(local) else ""
    return local, user, extension, domain, delimiter


def without_success(notify: Notify) -> Notify:
    """NOTIFY for the members of an alias (RFC 3461, 5.2.7.2): success is told of the alias itself."""
    if notify == Notify.SUCCESS:
        return Notify.NEVER
    return notify & ~Notify.SUCCESS
