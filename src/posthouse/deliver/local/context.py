"""What all steps of a local delivery have in hand: parameters, tables, the house and the log."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.config.settings import Settings
from posthouse.deliver.local.attributes import Attributes, Progress
from posthouse.deliver.local.rules import LocalRules
from posthouse.deliver.results import from_line, sender_field
from posthouse.lookup.maps import Maps
from posthouse.mail.address import quote_address
from posthouse.mail.envelope import Notify
from posthouse.mail.outcome import Outcome, Sent
from posthouse.mail.status import Status
from posthouse.services.house import House
from posthouse.services.privileged import Identity, PrivilegedAgent
from posthouse.system.log import DaemonLog
from posthouse.system.users import User, find_user

NO_AGENT = Status("4.3.0", 0, "agent host is not running")


@dataclass(frozen=True, slots=True)
class Local:
    """One service that runs local(8). relay is its name in master.cf."""

    relay: str
    rules: LocalRules
    settings: Settings
    house: House
    log: DaemonLog
    environment: dict[str, str]
    aliases: Maps

    @property
    def privileged(self) -> PrivilegedAgent | None:
        return self.house.privileged

    def default_user(self) -> User | None:
        """Whom default_privs names."""
        return find_user(self.rules.default_user)

    def rights_for_outside(self, attributes: Attributes) -> User | None:
        """By whose rights a command runs or a file outside the mailbox is written: never root's."""
        rights = attributes.rights
        return rights if rights is not None and rights.uid != 0 else self.default_user()

    def sent(self, text: str) -> Outcome:
        return Sent(Status("2.0.0", 0, text), self.relay)

    def would(self, text: str) -> Outcome:
        return Sent(Status("2.0.0", 0, text), self.relay, deliverable=True)

    def head(self, attributes: Attributes, kind: str, *, from_moment: float = 0.0) -> bytes:
        """The fields before a message for a "file" or "command"; with from_moment (Unix time, s) the From line too."""
        recipient = attributes.recipient
        fields = ""
        is_members = attributes.owner is None or attributes.sender != attributes.owner  # not the list owner's now
        if self.rules.keeps_original and is_members:
            fields = f"X-Original-To: {quote_address(recipient.original or recipient.address)}\n"
        if kind in self.rules.delivered_header:
            fields += f"Delivered-To: {quote_address(attributes.delivered)}\n"
        line = from_line(attributes.sender, from_moment) if from_moment else b""
        return line + sender_field(attributes.sender) + fields.encode("utf-8", "surrogateescape")


def tell_expanded(local: Local, progress: Progress, attributes: Attributes, *, has_owner: bool) -> None:
    """What who asked for a notice of success hears of an alias: with an owner it is a list, where the trail ends."""
    if attributes.recipient.notify & Notify.SUCCESS and not is_question(progress):
        expanded = Sent(Status("2.0.0", 0, "alias expanded"), local.relay, expanded=not has_owner)
        progress.take_unlogged(attributes, expanded)


def identity_of(user: User) -> Identity:
    """The rights that a user's deliveries have."""
    return Identity(user.uid, user.gid, user.name)


def is_question(progress: Progress) -> bool:
    """Whether nothing shall be delivered."""
    from posthouse.deliver.results import is_question as asked

    return asked(progress.request)
