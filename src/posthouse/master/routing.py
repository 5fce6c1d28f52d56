"""Where a recipient's mail would go: canonical and virtual aliases, transport and next hop, mailbox - step by step."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from posthouse.config.settings import Settings
from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import find_address, find_keys, mailbox_keys
from posthouse.lookup.maps import open_maps
from posthouse.mail.address import fold_address
from posthouse.policy.means import Means
from posthouse.services.house import House
from posthouse.services.resolving import Resolution
from posthouse.system.dns_answers import Answer
from posthouse.system.users import find_user

_DEEPEST = 20
_MOST_STEPS = 500


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens; depth counts aliases within aliases."""

    depth: int
    text: str


@dataclass(slots=True)
class Route:
    """The way of one recipient."""

    house: House
    sender: str
    steps: list[Step] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    means: Means = field(init=False)

    def __post_init__(self) -> None:
        self.means = Means(self.settings, self.house)

    @property
    def settings(self) -> Settings:
        return self.house.settings

    def say(self, depth: int, text: str) -> None:
        if len(self.steps) < _MOST_STEPS:
            self.steps.append(Step(depth, text))

    async def follow(self, address: str) -> tuple[Step, ...]:
        """From the address in RCPT TO to mailboxes and other servers."""
        try:
            completed = await self._completed(address)
            for parameter in ("recipient_canonical_maps", "canonical_maps"):
                found = await self._mapped(parameter, completed)
                if found:
                    self.say(0, f"{parameter}: {completed} -> {found}")
                    completed = await self._completed(found)
            await self._expand(completed, 0)
        except LookupFailed as problem:
            self.say(0, f"a table cannot answer, mail would wait: {problem}")
        return tuple(self.steps)

    async def _completed(self, address: str) -> str:
        rewriter = self.house.rewriter
        assert rewriter is not None
        return await rewriter.rewrite("local", address)

    async def _mapped(self, parameter: str, address: str) -> str:
        maps = open_maps(self.settings, parameter)
        if maps.empty:
            return ""
        delimiters = self.settings.text("recipient_delimiter")
        found = await find_address(maps, address, delimiters=delimiters, is_local=self.means.is_local_domain)
        return found.value if found is not None else ""

    async def _expand(self, address: str, depth: int) -> None:
        """virtual_alias_maps, over and over; what stays is delivered."""
        if address.lower() in self.seen or depth > _DEEPEST:
            self.say(depth, f"{address}: comes up for the second time; delivered once")
            return
        self.seen.add(address.lower())
        found = await self._mapped("virtual_alias_maps", address)
        members = [await self._completed(member) for member in _members(found)]
        if not members:
            await self._deliver(address, depth)
            return
        self.say(depth, f"virtual_alias_maps: {address} -> {found}")
        for member in members:
            if member.lower() == address.lower():
                await self._deliver(member, depth + 1)
            else:
                await self._expand(member, depth + 1)

    async def _deliver(self, address: str, depth: int) -> None:
        rewriter = self.house.rewriter
        assert rewriter is not None
        resolved = await rewriter.resolve(self.sender, address)
        nexthop = f", next hop {resolved.nexthop}" if resolved.nexthop else ""
        self.say(
            depth,
            f"{resolved.recipient or address}: address class {resolved.address_class.value}, "
            f"transport {resolved.transport}{nexthop}",
        )
        service = self.house.service(resolved.transport)
        if service is None:
            self.say(depth, f"there is no service {resolved.transport} in master.cf: mail would wait")
            return
        match service.command:
            case "virtual":
                await self._virtual(resolved.recipient, depth)
            case "local":
                await self._local(resolved.recipient, depth)
            case "smtp" | "lmtp" | "relay":
                await self._hosts(resolved, depth)
            case "error":
                self.say(depth, f"comes back to its sender: {resolved.nexthop}")
            case "discard":
                self.say(depth, "is thrown away")
            case _:
                self.say(depth, f"given to {service.command} {' '.join(service.args)}".rstrip())

    async def _virtual(self, address: str, depth: int) -> None:
        maps = open_maps(self.settings, "virtual_mailbox_maps")
        found = await find_keys(maps, mailbox_keys(fold_address(address), self.settings.text("recipient_delimiter")))
        if found is None:
            self.say(depth, f"virtual_mailbox_maps has no {address}: comes back, unknown user")
            return
        base = self.settings.text("virtual_mailbox_base")
        path = f"{base}/{found.value}" if base else found.value
        kind = "Maildir" if path.endswith("/") else "mbox"
        self.say(depth, f"virtual_mailbox_maps: {found.key} -> {found.value}: {kind} {path}")

    async def _local(self, address: str, depth: int) -> None:
        """aliases(5), then the user."""
        local = address.rpartition("@")[0]
        delimiters = self.settings.text("recipient_delimiter")
        names = [local.lower()]
        cut = min((local.find(one) for one in delimiters if local.find(one) > 0), default=-1)
        names += [local[:cut].lower()] if cut > 0 else []
        maps = open_maps(self.settings, "alias_maps")
        for name in names:
            members = await maps.find(name)
            if members is None:
                continue
            self.say(depth, f"alias_maps: {name} -> {members}")
            for member in _members(members):
                await self._member(member, depth + 1)
            return
        self._mailbox(names[-1], depth)

    async def _member(self, member: str, depth: int) -> None:
        if member.startswith("|"):
            self.say(depth, f"given to the command {member[1:]}")
        elif member.startswith("/"):
            self.say(depth, f"written to {member}")
        elif member.lower().startswith(":include:"):
            self.say(depth, f"to those whom the file {member[9:]} lists")
        else:
            bare = member.removeprefix("\\")
            await self._expand(await self._completed(bare), depth)

    def _mailbox(self, user: str, depth: int) -> None:
        settings = self.settings
        for parameter in ("mailbox_transport", "mailbox_command"):
            value = settings.text(parameter)
            if value:
                self.say(depth, f"{parameter}: {value}")
                return
        known = find_user(user)
        if known is None:
            fallback = settings.text("fallback_transport") or settings.text("luser_relay")
            self.say(
                depth, f"there is no user {user}: {f'goes to {fallback}' if fallback else 'comes back, unknown user'}"
            )
            return
        forward = os.path.join(known.home, ".forward")
        if os.path.exists(forward):
            self.say(depth, f"{forward} says where it goes")
            return
        home = settings.text("home_mailbox")
        path = f"{known.home}/{home}" if home else f"{settings.text('mail_spool_directory')}/{user}"
        self.say(depth, f"{'Maildir' if path.endswith('/') else 'mbox'} {path}")

    async def _hosts(self, resolved: Resolution, depth: int) -> None:
        hop = resolved.nexthop
        if hop.startswith(("[", "unix:", "/")):
            self.say(depth, f"sent to {hop}")
            return
        domain = hop.partition(":")[0]
        found = await self.house.dns.lookup(domain, "MX")
        if isinstance(found, Answer) and found.exchangers:
            hosts = ", ".join(f"{mx.host} ({mx.preference})" for mx in found.exchangers)
            self.say(depth, f"sent to the mail exchangers of {domain}: {hosts}")
            return
        addresses = await self.house.dns.addresses(domain, self.settings.items("inet_protocols"))
        if isinstance(addresses, Answer):
            self.say(depth, f"{domain} has no mail exchangers; sent to {', '.join(addresses.texts)}")
        else:
            self.say(depth, f"no host is known for {domain}: {addresses.reason}")


def _members(text: str) -> list[str]:
    """The members of an alias; commas within quotes belong to a member."""
    parts: list[str] = []
    current, quoted = "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append(current)
            current = ""
            continue
        else:
            current += character
    parts.append(current)
    return [part.strip() for part in parts if part.strip()]
