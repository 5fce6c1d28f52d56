"""policyd-spf's ways with the policy delegation protocol: a request's attributes in, an action out (policyd-spf(1))."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from posthouse.policy.spf.decision import DUNNO, header, judge_helo, judge_sender
from posthouse.policy.spf.evaluation import SpfChecker
from posthouse.policy.spf.header import Mail, skipped
from posthouse.policy.spf.options import SpfOptions, for_user, is_in
from posthouse.policy.spf.result import SpfResult

LOCAL = "SPF check N/A for local connections"
RELAY = "SPF skipped for whitelisted relay"
MOCK = "dunno mock header field that should be ignored"
_MAX_INSTANCES = 1000


@dataclass(slots=True)
class _Message:
    """What a message has been told already: a refusal holds for all its recipients, a header is given once."""

    refusal: str = ""
    has_header: bool = False


class SpfPolicyServer:
    """One for a process. tell writes a line of the log at a debugLevel. per_user are the lines of the Per_User file."""

    def __init__(
        self,
        options: SpfOptions,
        checker: SpfChecker,
        tell: Callable[[int, str], None],
        per_user: Iterable[str] = (),
    ) -> None:
        self._options, self._checker, self._tell = options, checker, tell
        self._per_user = tuple(per_user)
        self._messages: dict[str, _Message] = {}

    async def answer(self, attributes: dict[str, str]) -> str:
        """The action for a request; "dunno" for one that says too little."""
        options = self._options
        if self._per_user:
            options = for_user(options, attributes.get("recipient", ""), self._per_user)
        if options.Mock:
            return MOCK
        mail = _mail_of(attributes, options)
        if mail is None:
            self._tell(2, "no usable client address in the request")
            return DUNNO
        message = self._message(attributes.get("instance", ""))
        if message.refusal and not self._per_user:
            return message.refusal
        action = await self._judge(options, mail)
        self._tell(1, f"{action if action != DUNNO else 'no header or refusal'}; {mail.facts}")
        if action.startswith("prepend "):
            if message.has_header:
                return DUNNO
            message.has_header = True
        elif action[:1] in "45":
            message.refusal = action
        return action

    def _message(self, instance: str) -> _Message:
        if not instance:
            return _Message()
        found = self._messages.get(instance)
        if found is None:
            if len(self._messages) >= _MAX_INSTANCES:
                del self._messages[next(iter(self._messages))]
            found = self._messages[instance] = _Message()
        return found

    async def _judge(self, options: SpfOptions, mail: Mail) -> str:
        if not options.Prospective:
            why = LOCAL if is_in(mail.client, options.skip_addresses) else await self._exception(options, mail)
            if why:
                authserv_id = options.Authserv_Id if options.Header_Type == "AR" else ""
                return f"prepend {skipped(why, mail, authserv_id)}" if options.Header_Type != "None" else DUNNO
        helo: SpfResult | None = None
        sender: SpfResult | None = None
        if options.HELO_reject != "No_Check":
            helo = await self._checker.check(mail.client, "", mail.helo, mail.receiver)
            fate = judge_helo(options, helo, mail)
            if fate is not None:
                return fate.action
        if mail.sender and options.Mail_From_reject != "No_Check":
            sender = await self._checker.check(mail.client, mail.sender, mail.helo, mail.receiver)
            fate = judge_sender(options, sender, mail)
            if fate is not None:
                return fate.action
        line = "" if options.Prospective else header(options, helo, sender, mail)
        return f"prepend {line}" if line else DUNNO

    async def _exception(self, options: SpfOptions, mail: Mail) -> str:
        """Why this client is not asked about, "" for no reason."""
        if is_in(mail.client, options.Whitelist):
            return RELAY
        checker = self._checker
        try:
            async with asyncio.timeout(options.Whitelist_Lookup_Time):
                if mail.helo.lower() in options.HELO_Whitelist and await checker.names_lead_to(mail.helo, mail.client):
                    return "SPF skipped for HELO whitelisted relay"
                for domain in options.Domain_Whitelist:
                    found = await checker.check(mail.client, f"postmaster@{domain}", domain, mail.receiver)
                    if found.result == "pass":
                        return f"{RELAY} domain"
                if options.Domain_Whitelist_PTR:
                    for name in await checker.confirmed_names(mail.client):
                        if any(name == one or name.endswith(f".{one}") for one in options.Domain_Whitelist_PTR):
                            return "SPF skipped for PTR whitelisted relay domain"
        except TimeoutError:
            self._tell(0, "DNS takes too long for the whitelists")
        return ""


def _mail_of(attributes: dict[str, str], options: SpfOptions) -> Mail | None:
    client = options.Prospective or attributes.get("client_address", "")
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    sender = attributes.get("sender", "")
    helo = attributes.get("helo_name", "") or sender.rpartition("@")[2]
    receiver = attributes.get("recipient", "").rpartition("@")[2] or "<UNKNOWN>"
    if options.Hide_Receiver:
        receiver = "<UNKNOWN>"
    return Mail(str(mapped or client), helo, sender, receiver)


def with_host(options: SpfOptions, host: str) -> SpfOptions:
    """The options with this host's name where the file leaves it to us."""
    return replace(options, Authserv_Id=host) if options.Authserv_Id in ("HOSTNAME", "") else options
