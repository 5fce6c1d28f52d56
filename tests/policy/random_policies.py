"""Configurations, and sessions of strangers, made by chance: what the proof is held against."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

from posthouse.config.settings import Settings, from_text
from posthouse.lookup import maps, notices, table
from posthouse.policy.proof.supposed import SupposedGate, SupposedMeans, play
from posthouse.policy.request import Request
from posthouse.rewrite.trivial_rewrite import TrivialRewrite
from posthouse.services.house import House
from posthouse.services.verifying import Reachability, Verified
from posthouse.system.dns_answers import Answer, DnsFailed, Missing, Mx, NotFound, Result
from posthouse.system.log import MemorySink

BASE = """compatibility_level = 3.6
myhostname = mail.example.com
mydestination = mail.example.com, localhost
mynetworks = 10.0.0.0/8, [2001:db8:aaaa::]/48
inet_interfaces = 192.0.2.1
local_recipient_maps =
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:box
relay_domains = relay.example.net
smtpd_sasl_auth_enable = yes
smtpd_tls_ask_ccert = yes
smtpd_restriction_classes = one two three empty
"""
# Clients that a table may name are no strangers: nobody below comes from 203.0.113.0/24 or good.example.net.
CLIENT_KEYS = ("203.0.113.9", "203.0.113", "good.example.net", ".good.example.net", "unknown", "net", ".net", "10.1")
SENDER_KEYS = ("boss@example.com", "example.com", "sender.test", "<>", "boss@", "com", "friend@sender.test")
HELO_KEYS = ("helo.test", "test", ".test", "203.0.113.77", "mail.example.com")
RECIPIENT_KEYS = ("info@example.org", "example.org", ".example.org", "outside.test", "victim@outside.test", "postmaster@",
                  "info@", "net", "relay.example.net")  # fmt: skip
ACTIONS = ("OK", "OK", "OK", "REJECT", "DUNNO", "DEFER_IF_PERMIT", "DEFER_IF_REJECT later", "550 no", "DISCARD", "HOLD",
           "permit", "reject", "one", "two", "three", "reject_unauth_destination, permit", "permit_mynetworks, defer",
           "warn_if_reject reject", "WARN odd", "1234", "RELAY", "nonsense", "empty",
           "warn_if_reject defer_if_permit")  # fmt: skip
PATTERNS = (
    "/^boss@/",
    "/example/",
    "/./",
    "!/^good/",
    "/\\.test$/",
    "/^$/",
    "/outside|victim/",
    "/^[0-9.]+$/",
    "/^/",
    "/unknown/",
)
NETWORKS = ("203.0.113.0/24", "0.0.0.0/0", "::/0", "198.0.0.0/4", "!203.0.113.0/24", "10.0.0.0/8")
PLAIN = ("permit_mynetworks", "permit_sasl_authenticated", "permit_inet_interfaces", "permit_tls_clientcerts",
         "reject_unauth_destination", "defer_unauth_destination", "permit_auth_destination", "permit", "reject", "defer",
         "defer_if_permit", "defer_if_reject", "reject_non_fqdn_sender", "reject_unknown_sender_domain",
         "reject_unknown_recipient_domain", "reject_unlisted_recipient", "reject_invalid_helo_hostname",
         "reject_plaintext_session", "reject_rbl_client list.test", "permit_dnswl_client good.list.test", "check_relay_domains",
         "reject_unverified_recipient", "permit_mx_backup", "one", "two", "three", "empty", "permit mynetworks",
         "check_policy_service inet:127.0.0.1:9", "reject_unknown_client_hostname", "check_policy_access", "sleep 0")  # fmt: skip
LOOKUPS = {
    "client": CLIENT_KEYS, "reverse_client_hostname": CLIENT_KEYS, "helo": HELO_KEYS, "sender": SENDER_KEYS,
    "recipient": RECIPIENT_KEYS,
}  # fmt: skip
LISTS = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data")
CLIENTS = (
    ("198.51.100.7", "unknown", "unknown"), ("198.51.100.8", "host.spam.net", "host.spam.net"), ("9.9.9.9", "unknown", "good.net"),
    ("2001:db8:1::9", "unknown", "unknown"), ("2001:db8:1::9", "mail.test", "mail.test"),
)  # fmt: skip
HELOS = (None, "helo.test", "[198.51.100.7]", "203.0.113.77", "x", "mail.example.com", "good.thing.test")
SENDERS = ("", "boss@example.com", "friend@sender.test", "x@somewhere.com", "boss@other.net", "boss")
RECIPIENTS = (
    "victim@outside.test",
    "postmaster@far.net",
    "info@far.com",
    "x@sub.example.org",
    "info@other.test",
    "nobody@far.com",
)


class RandomPolicy:
    """One configuration, the same for the same number."""

    def __init__(self, number: int, folder: Path) -> None:
        self.chance = random.Random(number)
        self.text = BASE + "".join(self._lines())
        table.forget_tables()
        maps.forget_maps()
        notices.report_to(lambda _severity, _text: None)
        self.settings: Settings = from_text(self.text, str(folder))
        self.house = House(self.settings, (), MemorySink(), dns=RandomDns(self.chance), verify=self._verified)
        self.house.rewriter = TrivialRewrite(self.settings, self.house)

    def _lines(self) -> Iterator[str]:
        chance = self.chance
        for name in LISTS:
            if chance.random() < (0.9 if name in {"relay", "recipient"} else 0.3):
                yield f"smtpd_{name}_restrictions = {self._list(4)}\n"
        for name, inner in (("one", ""), ("two", " one"), ("three", " two")):
            yield f"{name} = {self._list(2)}{inner if chance.random() < 0.5 else ''}\n"
        yield "empty =\n"
        yield f"smtpd_delay_reject = {chance.choice(('yes', 'yes', 'no'))}\n"
        yield f"smtpd_helo_required = {chance.choice(('yes', 'no'))}\n"
        yield f"smtpd_relay_before_recipient_restrictions = {chance.choice(('yes', 'no'))}\n"
        yield f"smtpd_tls_security_level = {chance.choice(('', 'may'))}\n"

    def _list(self, most: int) -> str:
        return ", ".join(self._word() for _ in range(self.chance.randint(0, most)))

    def _word(self) -> str:
        softened = "warn_if_reject " if self.chance.random() < 0.1 else ""
        if self.chance.random() < 0.45:
            party = self.chance.choice(tuple(LOOKUPS))
            kind = self.chance.choice(("", "", "", "_mx" if party in {"sender", "helo"} else ""))
            return f"{softened}check_{party}{kind}_access {self._table(LOOKUPS[party])}"
        return softened + self.chance.choice(PLAIN)

    def _table(self, keys: tuple[str, ...]) -> str:
        chance = self.chance
        kind = chance.choice(("inline", "inline", "inline", "static", "regexp", "cidr", "pcre"))
        number = chance.randint(1, 3)
        if kind == "static":
            return f"static:{{{chance.choice(ACTIONS)}}}"
        if kind == "inline":
            inner = " ".join(f"{{{chance.choice(keys)} = {chance.choice(ACTIONS)}}}" for _ in range(number))
        else:
            pool = NETWORKS if kind == "cidr" else PATTERNS
            inner = " ".join(f"{{{chance.choice(pool)} {chance.choice(ACTIONS)}}}" for _ in range(number))
        return f"{kind}:{{{inner}}}".replace("$", "$$")

    async def _verified(self, _address: str) -> Verified:
        return Verified(self.chance.choice(tuple(Reachability)), "4.0.0", "text")

    def strangers(self, number: int) -> Iterator[Request]:
        """Sessions with what strangers may say."""
        for _ in range(number):
            address, name, reverse = self.chance.choice(CLIENTS)
            yield Request(
                address,
                client_name=name,
                reverse_client_name=reverse,
                client_name_code=5,
                reverse_client_name_code=5,
                helo_name=self.chance.choice(HELOS if not self.settings.flag("smtpd_helo_required") else HELOS[1:]),
                sender=self.chance.choice(SENDERS),
                recipient=self.chance.choice(RECIPIENTS),
                encryption_protocol=self.chance.choice(("", "TLSv1.3"))
                if self.settings.text("smtpd_tls_security_level")
                else "",
            )

    def gate(self) -> SupposedGate:
        """The real gate, with a policy server that says anything."""
        answer = self.chance.choice(("OK", "DUNNO", "REJECT", "one", "permit", "DEFER_IF_PERMIT"))
        means = SupposedMeans(self.settings, self.house, answer, lambda _spec: True)
        gate = SupposedGate(self.settings, self.house, means)
        self.house.dns.lists.clear()
        return gate


class RandomDns:
    """A DNS that says anything, but never that we are somebody's mail exchanger."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.lists = chance, set[str]()

    async def lookup(self, name: str, kind: str) -> Result:
        match self.chance.randint(0, 4):
            case 0:
                return NotFound(name, kind, self.chance.choice((Missing.NO_NAME, Missing.NO_DATA)))
            case 1:
                return DnsFailed(name, kind)
            case _ if kind == "MX":
                return Answer(name, kind, (Mx(10, "mx.other.test"),))
            case _:
                return Answer(name, kind, ("127.0.0.2",))

    async def addresses(self, name: str, _protocols: object = ()) -> Result:
        return await self.lookup(name, "A")


def is_let_in(gate: SupposedGate, request: Request) -> bool:
    """Play the whole session, with the recipient alone or as one of two at the end."""
    request = dataclasses.replace(request, memory={})
    sender, recipient, helo = request.sender, request.recipient, request.helo_name
    request.sender = request.recipient = request.helo_name = None
    steps = [("CONNECT", gate.connect), ("HELO", gate.helo), ("MAIL", gate.mail), ("RCPT", gate.rcpt), ("DATA", gate.data),
             ("END-OF-MESSAGE", gate.end_of_data)]  # fmt: skip
    count = random.Random(str(recipient)).choice((1, 2))
    for state, ask in steps:
        request.protocol_state = state
        if state == "HELO":
            request.helo_name = helo
            if helo is None:
                continue
        if state == "MAIL":
            request.sender = sender
        if state == "RCPT":
            request.recipient = recipient
        request.recipient_count = count if state in {"DATA", "END-OF-MESSAGE"} else 0
        verdict = play(ask(request))
        assert verdict is not None
        if verdict.refusal is not None:
            return False
    return not request.memory.get("discarded")
