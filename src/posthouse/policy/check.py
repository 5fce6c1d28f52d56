"""One evaluation under way: the request, what has been found out for it, and the bookkeeping between restrictions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from posthouse.errors import LookupFailed
from posthouse.mail.address import fold_address
from posthouse.mail.status import Status
from posthouse.policy.answer import Unless, lookup_trouble
from posthouse.policy.request import Request
from posthouse.policy.trace import Fact, Trace
from posthouse.policy.verdict import Action, Note
from posthouse.services.resolving import Resolution

if TYPE_CHECKING:
    from posthouse.policy.means import Means

CLIENT = "Client host"
REVERSE_CLIENT = "Unverified Client host"
CERTIFICATE = "Client certificate"
LOGIN = "SASL login name"
HELO = "Helo command"
SENDER = "Sender address"
RECIPIENT = "Recipient address"
ETRN = "Etrn command"
DATA = "Data command"
END_OF_DATA = "End-of-data"


@dataclass(slots=True)
class Check:
    """What restrictions are given.

    subject and subject_class are what a general restriction ("reject") names in its text: <subject>: Class rejected.
    default_access is the restriction that a bare type:name stands for, "" where it stands for none.
    softened: warn_if_reject is in force. discarded: an access table has thrown the message away.
    postponed holds the first reason for each kind of deferral. recipient is None where it is not known, or is one of
    several at the end of the message.
    """

    request: Request
    means: Means
    recipient: str | None
    subject: str = ""
    subject_class: str = ""
    default_access: str = ""
    softened: bool = False
    discarded: bool = False
    sender_looked_up: bool = False
    recipient_looked_up: bool = False
    depth: int = 0
    postponed: dict[Unless, Status] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    trace: Trace | None = None
    _resolved: dict[str, Resolution] = field(default_factory=dict)

    @property
    def client(self) -> str:
        """name[address] of the client."""
        return f"{self.request.client_name}[{self.request.client_address}]"

    async def resolve(self, address: str) -> Resolution:
        """Where an address belongs; its recipient is in lower case. Stops the evaluation when a table fails."""
        known = self._resolved.get(address)
        if known is not None:
            return known
        rewriter = self.means.house.rewriter
        if rewriter is None:
            raise lookup_trouble(address)
        sender = self.request.sender or ""
        try:
            found = await rewriter.resolve(sender, await rewriter.rewrite("local", address))
        except LookupFailed as problem:
            self.means.log.warning(str(problem))
            raise lookup_trouble(address) from problem
        if found.failed:
            raise lookup_trouble(address)
        folded = fold_address(found.recipient)
        if folded != found.recipient:
            found = replace(found, recipient=folded)
        self._resolved[address] = found
        return found

    def learn(self, kind: str, where: str, key: str, answer: str | None) -> None:
        """Remember a fact for the trace; callers ask `trace is not None` first on the hot path."""
        if self.trace is not None:
            self.trace.facts.append(Fact(kind, where, key, answer))

    def rejected(self, dsn: str, code: int, text: str) -> Status:
        """The status "<subject>: Class rejected: text" of a general restriction."""
        return Status(dsn, code, f"<{self.subject}>: {self.subject_class} rejected: {text}")
