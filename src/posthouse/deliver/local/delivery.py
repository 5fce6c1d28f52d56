"""Delivers to one local recipient: aliases, then .forward, then the mailbox; what they name, in turn (local(8))."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from posthouse.deliver.local import alias_tables, lists, user_mailbox
from posthouse.deliver.local.alias_owner import owner_of
from posthouse.deliver.local.alias_tables import Alias, NoOwner
from posthouse.deliver.local.attributes import (
    ALIAS,
    FORWARD,
    INCLUDE,
    Attributes,
    Progress,
    address_parts,
    without_success,
)
from posthouse.deliver.local.commands import deliver_command
from posthouse.deliver.local.context import Local, tell_expanded
from posthouse.deliver.local.destinations import (
    Destination,
    ToAddress,
    ToCommand,
    ToFile,
    ToInclude,
    read_destinations,
    read_lines,
)
from posthouse.deliver.local.expansion import Unexpandable, expanded, names_for
from posthouse.deliver.local.files import deliver_file
from posthouse.deliver.local.forwarding import note_forward, send_forwards
from posthouse.deliver.local.rules import LocalRules
from posthouse.deliver.results import failed
from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import with_extension
from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.maillog import local as maillog
from posthouse.system.users import User, find_user, find_user_by_id

_DEEPEST = 24
_ALIASES_UNAVAILABLE = Status("4.3.0", 0, "alias database unavailable")
_ROLES = frozenset({"postmaster", "mailer-daemon", "double-bounce"})


class LocalDelivery:
    """One recipient of one message, to the end. Results go into progress as they come."""

    def __init__(self, local: Local, progress: Progress) -> None:
        self._local, self._rules, self._progress = local, local.rules, progress

    async def deliver(self, attributes: Attributes) -> None:
        """Deliver, and send on what is to be forwarded unless something must be tried again."""
        await self.deliver_recipient(attributes)
        if any(isinstance(result.outcome, Deferred) for result in self._progress.results):
            self._progress.forwards.clear()
        await send_forwards(self._local, self._progress)

    async def deliver_recipient(self, attributes: Attributes) -> None:
        """A local address, at whatever level of expansion."""
        address = attributes.recipient.address
        if not self._progress.is_first(f"recipient {attributes.level} {address}"):
            return
        if address.lower() in self._progress.seen_fields:
            self._add(attributes, Status("5.4.6", 0, f"mail forwarding loop for {address}"))
            return
        local, user, extension, domain, delimiter = address_parts(address, self._rules.delimiters)
        if "/" in extension:
            queue_id = self._progress.request.message.queue_id
            self._local.log.warning(maillog.illegal_extension(queue_id, local))
            extension = ""
        if not local:
            self._add(attributes, Status("5.1.3", 0, "null username"))
            return
        known = replace(attributes, local=local, user=user, extension=extension, domain=domain, delimiter=delimiter)
        await self._deliver_local(replace(known, delivered=attributes.delivered or address))

    async def _deliver_local(self, attributes: Attributes) -> None:
        """Aliases, then what belongs to the user."""
        try:
            if await self._deliver_alias(replace(attributes, unmatched=""), attributes.local):
                return
            if attributes.extension:
                kept = attributes.extension if self._rules.propagates_to_alias else ""
                if await self._deliver_alias(replace(attributes, unmatched=kept), attributes.user):
                    return
        except LookupFailed as failure:
            self._local.log.warning(f"{failure}")
            self._add(attributes, _ALIASES_UNAVAILABLE)
            return
        attributes = replace(attributes, unmatched=attributes.extension)
        # Members of a list with an owner, and of :include: files, get a message of their own.
        owned = attributes.owner is not None and attributes.owner.lower() != attributes.user
        if owned or attributes.via == INCLUDE:
            self._progress.take(attributes, note_forward(self._local, self._progress, attributes))
            return
        user = find_user(attributes.user)
        if user is not None and await self._deliver_forward(attributes, user):
            return
        outcome = await user_mailbox.deliver(self._local, self._progress, attributes, user)
        if outcome is not None:
            self._progress.take_all(attributes, outcome)
            return
        await self._deliver_unknown(attributes)

    # Aliases

    async def _deliver_alias(self, attributes: Attributes, name: str) -> bool:
        """Whether the name is an alias and that was all. One that names itself means the user."""
        if attributes.expanded_from.lower() == name:
            return False
        try:
            alias = await alias_tables.find_alias(self._local.aliases, name)
        except NoOwner as table:
            self._local.log.warning(f"cannot find alias database owner for {table}")
            self._add(attributes, Status("4.3.0", 0, "cannot find alias database owner"))
            return True
        if alias is None:
            return False
        if attributes.level > _DEEPEST:
            self._local.log.warning(maillog.alias_loop(name))
            self._add(attributes, Status("5.4.6", 0, f"alias database loop for {name}"))
            return True
        await self._deliver_members(await self._of_alias(attributes, alias), alias)
        return True

    async def _of_alias(self, attributes: Attributes, alias: Alias) -> Attributes:
        """The attributes for the members of an alias."""
        recipient = replace(attributes.recipient, notify=without_success(attributes.recipient.notify))
        inside = replace(
            attributes,
            recipient=recipient,
            via=ALIAS,
            expanded_from=alias.name,
            rights=alias.owner,
            delivered=_delivered(self._rules, attributes),
        )
        owner = await owner_of(self._local, alias.name)
        tell_expanded(self._local, self._progress, attributes, has_owner=owner is not None)
        if owner is not None:
            return replace(inside, owner=owner, sender=owner)
        return replace(inside, owner=None) if self._rules.reset_owner else inside

    async def _deliver_members(self, attributes: Attributes, alias: Alias) -> None:
        count = await self._deliver_all(attributes, read_destinations(alias.members))
        if count == 0:
            self._local.log.warning(maillog.no_members(alias.name))
            self._add(attributes, _ALIASES_UNAVAILABLE)

    # .forward

    async def _deliver_forward(self, attributes: Attributes, user: User) -> bool:
        """Whether a .forward file took care of it."""
        inside = replace(
            attributes,
            rights=user,
            via=FORWARD,
            owner=attributes.user,
            delivered=_delivered(self._rules, attributes),
        )
        found = await lists.find_forward(self._local, self._progress, inside, user)
        if isinstance(found, Status):
            self._add(attributes, found)
            return True
        if found is None:
            return False
        path, file, tells_extension = found
        if not self._progress.is_first(f"forward {path}"):
            return self._progress.has_seen(f"forward-done {path}")
        complaint = lists.forward_complaint(path, file, user)
        if complaint or file.data is None:
            self._local.log.warning(complaint)
            return False
        kept = "" if tells_extension or not self._rules.propagates_to_forward else attributes.extension
        recipient = replace(attributes.recipient, notify=without_success(attributes.recipient.notify))
        inside = replace(inside, unmatched=kept, expanded_from=attributes.local, recipient=recipient)
        count = await self._deliver_all(inside, read_lines(file.data, self._rules.line_limit))
        if count:
            tell_expanded(self._local, self._progress, attributes, has_owner=False)
            self._progress.is_first(f"forward-done {path}")
        return count > 0

    # Members of lists

    async def _deliver_all(self, attributes: Attributes, destinations: Iterable[Destination]) -> int:
        count = 0
        for destination in destinations:
            count += 1
            await self._deliver_destination(attributes, destination)
        return count

    async def _deliver_destination(self, attributes: Attributes, destination: Destination) -> None:
        match destination:
            case ToAddress(address):
                await self._deliver_address(attributes, address)
            case ToCommand(command):
                if self._progress.is_first(f"command {_owner_number(attributes)} {command}"):
                    self._progress.take(
                        attributes, await deliver_command(self._local, self._progress, attributes, command)
                    )
            case ToFile(path):
                if self._progress.is_first(f"file {_owner_number(attributes)} {path}"):
                    self._progress.take(attributes, await deliver_file(self._local, self._progress, attributes, path))
            case ToInclude(path):
                await self._deliver_include(attributes, path)

    async def _deliver_include(self, attributes: Attributes, path: str) -> None:
        if not self._progress.is_first(f"include {path}"):
            return
        found = await lists.read_include(self._local, attributes, path)
        if isinstance(found, Status):
            self._add(attributes, found)
            return
        rights = attributes.rights
        if (rights is None or rights.uid == 0) and found.owner != 0:
            rights = find_user_by_id(found.owner)
            if rights is None:
                self._local.log.warning(f"cannot find username for uid {found.owner}")
                self._add(attributes, Status("4.3.0", 0, f"{path}: cannot find :include: file owner"))
                return
        kept = attributes.unmatched if self._rules.propagates_to_include else ""
        inside = replace(attributes, via=INCLUDE, rights=rights, unmatched=kept)
        await self._deliver_all(inside, read_lines(found.data or b"", self._rules.line_limit))

    async def _deliver_address(self, attributes: Attributes, address: str) -> None:
        """An address of a list: here again if it is this agent's, else as a new message."""
        rewriter = self._local.house.rewriter
        if rewriter is None:
            self._add(attributes, Status("4.3.0", 0, "address resolver failure"))
            return
        if not address.rpartition("@")[0].strip() and not address.strip("@ "):
            self._add(attributes, Status("5.1.3", 0, "bad recipient address syntax: MAILER-DAEMON@"))
            return
        if attributes.unmatched:
            delimiter = attributes.delimiter or self._rules.delimiters[:1]
            address = with_extension(address, delimiter + attributes.unmatched)
        full = await rewriter.rewrite("local", address)
        resolution = await rewriter.resolve(attributes.sender, full)
        if resolution.failed:
            self._add(attributes, Status("4.3.0", 0, "address resolver failure"))
            return
        if resolution.transport == "error" and resolution.error:
            self._add(attributes, Status("5.1.3", 0, f"bad recipient address syntax: {full}"))
            return
        inside = replace(
            attributes,
            recipient=replace(attributes.recipient, address=resolution.recipient),
            level=attributes.level + 1,
        )
        if resolution.transport == self._local.relay:
            await self.deliver_recipient(inside)
        else:
            self._progress.take(inside, note_forward(self._local, self._progress, inside))

    # Unknown users

    async def _deliver_unknown(self, attributes: Attributes) -> None:
        """fallback_transport, luser_relay, or back to the sender."""
        passed = await user_mailbox.pass_on(self._local, self._progress, attributes, "fallback_transport")
        if passed is not None:
            self._progress.take_all(attributes, passed)
            return
        template = self._local.settings.raw("luser_relay")
        if template:
            await self._deliver_luser(attributes, template)
            return
        if attributes.user in _ROLES:
            self._local.log.warning(maillog.alias_not_found(attributes.user))
            self._progress.take(attributes, self._local.sent("discarded"))
            return
        self._add(attributes, Status("5.1.1", 0, f'unknown user: "{attributes.user}"'))

    async def _deliver_luser(self, attributes: Attributes, template: str) -> None:
        address = _luser_address(self._local, self._progress, attributes, template)
        if isinstance(address, Status):
            self._add(attributes, address)
            return
        await self._deliver_address(replace(attributes, unmatched=""), address)
        if not self._progress.size:  # it leads back to itself
            self._add(attributes, Status("5.1.1", 0, f'unknown user: "{attributes.user}"'))

    # Results

    def _add(self, attributes: Attributes, status: Status) -> None:
        self._progress.take(attributes, failed(status, self._local.relay))


def _luser_address(local: Local, progress: Progress, attributes: Attributes, template: str) -> str | Status:
    """What luser_relay comes to, or why it cannot be used."""
    values = names_for(attributes, progress.request.message.envelope.origin, local.rules.delimiters)
    try:
        address, _ = expanded(template, values, local.settings.text("forward_expansion_filter"))
    except Unexpandable as problem:
        local.log.warning(f"bad luser_relay: {problem}")
        return Status("4.3.5", 0, "mail system configuration error")
    if attributes.level > _DEEPEST:
        return Status("5.4.6", 0, f"possible luser_relay loop for {attributes.user}")
    return address


def _delivered(rules: LocalRules, attributes: Attributes) -> str:
    """What Delivered-To says from here on."""
    return attributes.delivered if rules.frozen_delivered_to else attributes.recipient.address


def _owner_number(attributes: Attributes) -> int:
    return attributes.rights.uid if attributes.rights is not None else 0
