"""The resolver against a real server on loopback that knows a few names."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from posthouse.system import dns as resolver_module
from posthouse.system.dns import Answer, DnsFailed, Missing, Mx, NotFound, Resolver
from posthouse.system.resolv_conf import Servers, parse

RECORDS = {
    ("sender.test", "MX"): ["20 b.sender.test.", "10 a.sender.test."],
    ("null.test", "MX"): ["0 ."],
    ("a.sender.test", "A"): ["198.51.100.20"],
    ("a.sender.test", "AAAA"): ["2001:db8::20"],
    ("text.test", "TXT"): ['"one " "two"'],
    ("7.100.51.198.in-addr.arpa", "PTR"): ["named.test."],
    ("named.test", "A"): ["198.51.100.7"],
    ("8.100.51.198.in-addr.arpa", "PTR"): ["forged.test."],
    ("forged.test", "A"): ["198.51.100.9"],
    ("9.100.51.198.in-addr.arpa", "PTR"): ["nowhere.test."],
    ("10.100.51.198.in-addr.arpa", "PTR"): ["broken.test."],
    ("11.100.51.198.in-addr.arpa", "PTR"): ["only6.test."],
    ("only6.test", "AAAA"): ["2001:db8::11"],
    ("12.100.51.198.in-addr.arpa", "PTR"): ["192.0.2.1."],
    ("big.test", "TXT"): [f'"{"x" * 200} {number}"' for number in range(40)],
    ("alias.test", "CNAME"): ["alias2.test."],
    ("alias2.test", "CNAME"): ["a.sender.test."],
}
KNOWN = {name for name, _ in RECORDS}


class Server(asyncio.DatagramProtocol):
    """Answers from RECORDS; broken.test fails, silent.test is not answered; counts the questions."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.delay = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        wire = self.reply(data, max_size=1232)
        if wire is not None:
            asyncio.get_running_loop().call_later(self.delay, self.transport.sendto, wire, addr)

    def reply(self, data: bytes, max_size: int) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if name == "silent.test":
            return None
        reply = dns.message.make_response(query)
        if name == "broken.test":
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif name == "refused.test":
            reply.set_rcode(dns.rcode.REFUSED)
        else:
            self._fill(reply, name, kind)
        try:
            return reply.to_wire(max_size=max_size)
        except dns.exception.TooBig:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            return reply.to_wire()

    def _fill(self, reply: dns.message.Message, name: str, kind: str) -> None:
        while (target := RECORDS.get((name, "CNAME"))) and kind != "CNAME":
            reply.answer.append(dns.rrset.from_text_list(name + ".", 60, "IN", "CNAME", target))
            name = target[0].rstrip(".")
        found = RECORDS.get((name, kind))
        if found:
            reply.answer.append(dns.rrset.from_text_list(name + ".", 60, "IN", kind, found))
            return
        soa = "ns.test. root.test. 1 60 60 60 30"
        reply.authority.append(dns.rrset.from_text("test.", 60, "IN", "SOA", soa))
        if name not in KNOWN:
            reply.set_rcode(dns.rcode.NXDOMAIN)


@pytest.fixture
async def server():
    loop = asyncio.get_running_loop()

    async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        wire = protocol.reply(await reader.readexactly(length), max_size=65535)
        writer.write(struct.pack("!H", len(wire)) + wire)
        await writer.drain()
        writer.close()

    for attempt in range(20):  # a port that is free for TCP may be taken for UDP
        tcp = await asyncio.start_server(over_tcp, "127.0.0.1", 0)
        port = tcp.sockets[0].getsockname()[1]
        try:
            transport, protocol = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", port))
        except OSError:
            tcp.close()
            assert attempt < 19
        else:
            break
    protocol.port = port
    yield protocol
    transport.close()
    tcp.close()
    await tcp.wait_closed()


@pytest.fixture
def resolver(server, tmp_path):
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n203.0.113.5 listed.test alias\n# 1.2.3.4 no\n")
    made = Resolver(str(tmp_path / "resolv.conf"), str(tmp_path / "hosts"))
    made._conf.servers = lambda now: Servers((("127.0.0.1", server.port),), 0.2, 2)
    return made


async def test_exchangers_come_in_order_of_preference(resolver):
    result = await resolver.mx("sender.test")
    assert isinstance(result, Answer)
    assert result.exchangers == (Mx(10, "a.sender.test"), Mx(20, "b.sender.test"))


async def test_null_mx_is_an_exchanger_without_name(resolver):
    result = await resolver.mx("null.test")
    assert result.exchangers == (Mx(0, ""),)


async def test_missing_name_and_missing_data_are_told_apart(resolver):
    nothing = await resolver.mx("absent.test")
    assert nothing == NotFound("absent.test", "MX", Missing.NO_NAME, 30)
    assert nothing.text == (
        "Host or domain name not found. Name service error for name=absent.test type=MX: Host not found"
    )
    no_data = await resolver.a("text.test")
    assert isinstance(no_data, NotFound)
    assert no_data.reason == "Host found but no data record of requested type"


async def test_failures_say_try_again_and_are_not_kept(resolver, server):
    failed = await resolver.mx("broken.test")
    assert isinstance(failed, DnsFailed)
    assert failed.text.endswith("type=MX: Host not found, try again")
    asked = len(server.asked)
    await resolver.mx("broken.test")
    assert len(server.asked) > asked


async def test_a_server_that_refuses_is_no_reason_to_ask_again(resolver):
    assert await resolver.a("refused.test") == DnsFailed("refused.test", "A", "Non-recoverable error")


async def test_silence_is_a_failure_in_bounded_time(resolver, server):
    begun = time.monotonic()
    assert isinstance(await resolver.a("silent.test"), DnsFailed)
    assert time.monotonic() - begun < 2
    assert len(server.asked) == 2


async def test_nobody_there_is_a_failure(resolver):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    resolver._conf.servers = lambda now: Servers((("127.0.0.1", port),), 0.2, 1)
    assert isinstance(await resolver.a("sender.test"), DnsFailed)


async def test_answers_are_kept(resolver, server):
    await resolver.a("a.sender.test")
    await resolver.a("A.Sender.Test")
    assert server.asked == [("a.sender.test", "A")]


async def test_missing_answers_are_kept_as_long_as_the_soa_says(resolver, server, monkeypatch):
    await resolver.a("absent.test")
    await resolver.a("absent.test")
    assert len(server.asked) == 1
    later = time.monotonic() + 31
    monkeypatch.setattr(resolver_module.time, "monotonic", lambda: later)
    await resolver.a("absent.test")
    assert len(server.asked) == 2


async def test_the_same_question_at_once_goes_out_once(resolver, server):
    server.delay = 0.02
    results = await asyncio.gather(*(resolver.a("a.sender.test") for _ in range(10)))
    assert len({result.records for result in results}) == 1
    assert len(server.asked) == 1


async def test_who_waits_with_a_cancelled_one_asks_himself(resolver, server):
    server.delay = 0.05
    first = asyncio.create_task(resolver.a("a.sender.test"))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(resolver.a("a.sender.test"))
    await asyncio.sleep(0.01)
    first.cancel()
    assert isinstance(await second, Answer)


async def test_large_answers_come_over_tcp(resolver):
    result = await resolver.txt("big.test")
    assert isinstance(result, Answer)
    assert len(result.records) == 40


async def test_aliases_are_followed(resolver):
    result = await resolver.a("alias.test")
    assert (result.name, result.records) == ("a.sender.test", ("198.51.100.20",))


async def test_both_families_are_asked_as_inet_protocols_says(resolver):
    assert (await resolver.addresses("a.sender.test")).records == ("198.51.100.20", "2001:db8::20")
    assert (await resolver.addresses("a.sender.test", ("ipv4",))).records == ("198.51.100.20",)
    assert (await resolver.addresses("a.sender.test", ("all",))).records == ("198.51.100.20", "2001:db8::20")


async def test_names_that_cannot_be_are_not_found(resolver, server):
    for name in ("bad..name", "x" * 70 + ".test"):
        assert isinstance(await resolver.a(name), NotFound)
    assert server.asked == []


async def test_a_client_has_the_name_that_leads_back_to_it(resolver):
    names = await resolver.client_names("198.51.100.7")
    assert (names.name, names.reverse_name, names.name_code, names.warning) == ("named.test", "named.test", 2, "")


@pytest.mark.parametrize(
    ("address", "reverse", "code", "warning"),
    [
        ("198.51.100.8", "forged.test", 5, "hostname forged.test does not resolve to address 198.51.100.8"),
        (
            "198.51.100.9",
            "nowhere.test",
            5,
            "hostname nowhere.test does not resolve to address 198.51.100.9: Name or service not known",
        ),
        (
            "198.51.100.10",
            "broken.test",
            4,
            "hostname broken.test does not resolve to address 198.51.100.10: Temporary failure in name resolution",
        ),
        (
            "198.51.100.11",
            "only6.test",
            5,
            "hostname only6.test does not resolve to address 198.51.100.11: No address associated with hostname",
        ),
        ("198.51.100.12", "unknown", 5, "numeric hostname: 192.0.2.1"),
        ("198.51.100.13", "unknown", 5, ""),
    ],
)
async def test_a_client_whose_name_is_in_doubt_is_unknown(resolver, address, reverse, code, warning):
    names = await resolver.client_names(address)
    assert (names.name, names.reverse_name, names.name_code, names.warning) == ("unknown", reverse, code, warning)


async def test_hosts_file_comes_before_the_dns(resolver, server):
    assert (await resolver.client_names("127.0.0.1")).name == "localhost"
    assert (await resolver.client_names("203.0.113.5")).name == "listed.test"
    assert server.asked == []


async def test_names_of_a_known_client_cost_nearly_nothing(resolver):
    await resolver.client_names("198.51.100.7")
    begun = time.perf_counter()
    for _ in range(1000):
        await resolver.client_names("198.51.100.7")
    assert time.perf_counter() - begun < 0.05


async def test_nobody_is_asked_when_peername_lookup_is_off(resolver, server):
    assert (await resolver.client_names("198.51.100.7", peername_lookup=False)).name == "unknown"
    assert server.asked == []


def test_resolv_conf_names_servers_and_times():
    text = (
        "# x\nnameserver 192.0.2.1 # c\nnameserver bad\nnameserver 2001:db8::1\noptions timeout:3 attempts:4 rotate\n"
    )
    assert parse(text) == Servers((("192.0.2.1", 53), ("2001:db8::1", 53)), 3.0, 4)
    assert parse("") == Servers((("127.0.0.1", 53),), 5.0, 2)
