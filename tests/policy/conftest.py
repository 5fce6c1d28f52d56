"""A house with nothing in it but what restrictions ask: settings, rewriting, and a zone in place of the DNS."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from posthouse.config.settings import load
from posthouse.policy.gate import Gate
from posthouse.policy.request import Request
from posthouse.policy.verdict import Verdict
from posthouse.rewrite.trivial_rewrite import TrivialRewrite
from posthouse.services.house import House
from posthouse.system.dns_answers import Answer, DnsFailed, Missing, Mx, NotFound, Result
from posthouse.system.log import MemorySink


class Zone:
    """Records as lines "name TYPE data"; "name SERVFAIL" fails. Keeps the questions."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self.records: dict[str, list[tuple[str, str]]] = {}
        self.questions: list[tuple[str, str]] = []
        for line in lines:
            name, kind, data = [*line.split(None, 2), ""][:3]
            if kind == "PTR":
                name = ipaddress.ip_address(name).reverse_pointer
            self.records.setdefault(name.lower(), []).append((kind, data.strip()))

    async def lookup(self, name: str, kind: str) -> Result:
        self.questions.append((name, kind))
        entries = self.records.get(name.lower())
        if entries is None:
            return NotFound(name, kind, Missing.NO_NAME)
        if entries[0][0] == "SERVFAIL":
            return DnsFailed(name, kind)
        found = [data for entry_kind, data in entries if entry_kind == kind]
        if not found:
            return NotFound(name, kind, Missing.NO_DATA)
        if kind == "MX":
            pairs = [data.split() for data in found]
            return Answer(name, kind, tuple(Mx(int(number), host.rstrip(".")) for number, host in pairs))
        return Answer(name, kind, tuple(data.strip('"') for data in found))

    async def addresses(self, name: str, inet_protocols: Iterable[str] = ()) -> Result:
        first = await self.lookup(name, "A")
        if isinstance(first, Answer):
            return first
        second = await self.lookup(name, "AAAA")
        return second if isinstance(second, Answer) else first


@dataclass
class Door:
    """A gate, and what stands around it."""

    gate: Gate
    house: House
    sink: MemorySink
    zone: Zone

    def request(self, **facts: object) -> Request:
        given: dict[str, object] = {
            "client_address": "198.51.100.7",
            "client_name_code": 5,
            "reverse_client_name_code": 5,
            "helo_name": "client.example.net",
            "protocol_name": "ESMTP",
            "protocol_state": "RCPT",
            "sender": "friend@sender.test",
        }
        return Request(**(given | facts))  # type: ignore[arg-type]

    async def rcpt(self, recipient: str, **facts: object) -> Verdict:
        return await self.gate.rcpt(self.request(recipient=recipient, **facts))

    async def reply(self, recipient: str, **facts: object) -> str:
        return said(await self.rcpt(recipient, **facts))

    @property
    def warnings(self) -> list[str]:
        return [line.partition("warning: ")[2] for line in self.sink.lines if "warning: " in line]


def said(verdict: Verdict) -> str:
    status = verdict.refusal
    return "250 2.1.5 Ok" if status is None else f"{status.code} {status.dsn} {status.text}"


BASE = """
compatibility_level = 3.6
myhostname = mail.example.com
mydomain = example.com
mydestination = $myhostname, localhost
mynetworks = 10.0.0.0/8
inet_interfaces = 192.0.2.1
local_recipient_maps =
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:box
"""


@pytest.fixture
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Door]:
    """open_door(main_cf, dns_lines): a gate with those settings on top of a small base."""

    def opened(main_cf: str = "", dns: Iterable[str] = (), files: dict[str, str] | None = None) -> Door:
        directory = tmp_path_factory.mktemp("conf")
        for name, text in (files or {}).items():
            (directory / name).write_text(text)
        (directory / "main.cf").write_text(BASE + main_cf.replace("@CONF@", str(directory)))
        (directory / "master.cf").write_text("")
        settings = load(str(directory))
        sink, zone = MemorySink(), Zone(dns)
        house = House(settings, (), sink, dns=zone)
        house.rewriter = TrivialRewrite(settings, house)
        return Door(Gate(settings, house), house, sink, zone)

    return opened
