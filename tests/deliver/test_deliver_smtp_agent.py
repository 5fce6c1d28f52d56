"""The smtp agent against servers that do as a script says."""

from __future__ import annotations

import asyncio
import fnmatch
from contextlib import asynccontextmanager

import pytest

from posthouse.config.master_cf import Service
from posthouse.config.settings import load
from posthouse.deliver.smtp.client import build
from posthouse.deliver.smtp.nexthop import parse_next_hops
from posthouse.errors import ConfigError
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Notify, Recipient, Trace
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Bounced, Deferred, Sent
from posthouse.services.delivery import DeliveryRequest, Target
from posthouse.services.house import House
from posthouse.system.dns_answers import Answer, DnsFailed, Missing, Mx, NotFound
from posthouse.system.log import MemorySink


class Zone:
    """A DNS of three kinds of names."""

    def __init__(self, mx=None, a=None, failing=()):
        self.mx_records, self.a_records, self.failing = mx or {}, a or {}, set(failing)

    async def mx(self, name):
        if name in self.failing:
            return DnsFailed(name, "MX")
        if name in self.mx_records:
            return Answer(name, "MX", tuple(Mx(p, h) for p, h in self.mx_records[name]))
        return NotFound(name, "MX", Missing.NO_NAME)

    async def addresses(self, name, families):
        if name in self.failing:
            return DnsFailed(name, "A")
        if name in self.a_records:
            return Answer(name, "A", tuple(self.a_records[name]))
        return NotFound(name, "A", Missing.NO_NAME)


class Server:
    """Answers by the first pattern that fits, else as a friendly server; notes commands and messages."""

    def __init__(self, replies=None, extensions=("PIPELINING", "8BITMIME"), lmtp=False):
        self.replies, self.extensions, self.lmtp = replies or {}, extensions, lmtp
        self.commands, self.messages, self.accepted, self.sessions = [], [], [], 0

    def scripted(self, line, usual):
        for pattern, reply in self.replies.items():
            if fnmatch.fnmatchcase(line.upper(), pattern.upper()):
                return reply
        return usual

    async def serve(self, reader, writer):
        self.sessions += 1
        try:
            await self.session(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def say(self, writer, line, usual):
        reply = self.scripted(line, usual)
        if reply == "close":
            raise ConnectionError
        if reply == "hang":
            await asyncio.sleep(30)
        writer.write(reply.replace("\n", "\r\n").encode() + b"\r\n")
        return reply[0] in "23"

    async def session(self, reader, writer):
        await self.say(writer, "connect", "220 sink ESMTP")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            self.commands.append(line)
            verb = line.split()[0].upper()
            if verb == "QUIT":
                return
            if verb in ("EHLO", "LHLO"):
                words = ["sink", *self.extensions]
                await self.say(writer, line, "\n".join(f"250{' ' if w is words[-1] else '-'}{w}" for w in words))
            elif verb == "DATA":
                if await self.say(writer, line, "354 go" if self.accepted else "554 5.5.1 no valid recipients"):
                    await self.data(reader, writer)
            elif await self.say(writer, line, "250 2.0.0 Ok") and verb in ("MAIL", "RCPT"):
                self.accepted = [] if verb == "MAIL" else [*self.accepted, line]

    async def data(self, reader, writer):
        lines = []
        while (line := await reader.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        for recipient in self.accepted if self.lmtp else [""]:
            if await self.say(writer, f". {recipient}".strip(), "250 2.0.0 Ok: taken"):
                self.messages.append(b"".join(lines))


@asynccontextmanager
async def listening(server):
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


@pytest.fixture
def agent_for(tmp_path):
    def make(zone=None, command="smtp", **settings):
        lines = {
            "myhostname": "mx.example.com",
            "smtp_connect_timeout": "2s",
            "inet_interfaces": "127.0.0.9",
            **settings,
        }
        (tmp_path / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        loaded = load(str(tmp_path))
        sink = MemorySink()
        house = House(loaded, (), sink, dns=zone or Zone())
        service = Service(command, "unix", True, True, False, 0, False, 0, command)
        agent = build(service, loaded, house)
        agent.sink = sink
        return agent

    return make


EIGHT_BIT = b"Content-Transfer-Encoding: 8bit\n"


def request(nexthop, *addresses, body=b"\ntext\n", extra=b"", **envelope):
    recipients = tuple(a if isinstance(a, Recipient) else Recipient(a) for a in addresses)
    content = Content(b"Subject: x\n" + extra, body)
    message = QueuedMessage("ABC1", 1.0, Envelope("me@example.com", recipients, **envelope), content, content.size)
    targets = tuple(Target(index, recipient) for index, recipient in enumerate(recipients))
    return DeliveryRequest(message, "smtp", nexthop, targets, 1.0, 1.0)


async def outcomes(agent, *args, **envelope):
    report = await agent.deliver(request(*args, **envelope))
    return [result.outcome for result in sorted(report.results, key=lambda r: r.index)]


async def test_mail_goes_in_one_breath_and_each_recipient_has_its_own_answer(agent_for):
    server = Server({"RCPT TO:<gone@*": "550 5.1.1 gone", "RCPT TO:<full@*": "452 4.2.2 full"})
    async with listening(server) as port:
        sent, gone, full = await outcomes(agent_for(), f"[127.0.0.1]:{port}", "a@b.test", "gone@b.test", "full@b.test")
    assert isinstance(sent, Sent) and sent.status.text == "250 2.0.0 Ok: taken"
    assert isinstance(gone, Bounced) and gone.status.dsn == "5.1.1"
    assert gone.status.text == "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 gone (in reply to RCPT TO command)"
    assert gone.diagnostic == "smtp; 550 5.1.1 gone"
    assert isinstance(full, Deferred) and full.status.dsn == "4.2.2"
    assert server.messages == [b"Subject: x\r\n\r\ntext\r\n"]


async def test_when_nobody_is_accepted_the_server_is_told_to_forget_it(agent_for):
    server = Server({"RCPT*": "550 5.1.1 gone"})
    async with listening(server) as port:
        await outcomes(agent_for(), f"[127.0.0.1]:{port}", "a@b.test")
        await asyncio.sleep(0.05)
    assert [command.split()[0] for command in server.commands] == ["EHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT"]


async def test_an_old_server_is_greeted_with_helo_and_spoken_to_step_by_step(agent_for):
    server = Server({"EHLO*": "500 what"})
    async with listening(server) as port:
        [sent] = await outcomes(
            agent_for(), f"[127.0.0.1]:{port}", "a@b.test", encoding="8BITMIME", body="\nä\n".encode(), extra=EIGHT_BIT
        )
    assert isinstance(sent, Sent)
    assert server.commands[1] == "HELO mx.example.com"
    assert server.messages[0].endswith(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4\r\n")


@pytest.mark.parametrize(
    ("replies", "kind", "dsn", "text"),
    [
        (
            {"connect": "421 4.3.2 busy"},
            Deferred,
            "4.3.2",
            "host 127.0.0.1[127.0.0.1] refused to talk to me: 421 4.3.2 busy",
        ),
        (
            {"connect": "554 5.3.2 no"},
            Deferred,
            "4.3.2",
            "host 127.0.0.1[127.0.0.1] refused to talk to me: 554 5.3.2 no",
        ),
        (
            {"EHLO*": "502 x", "HELO*": "550 5.7.1 no"},
            Bounced,
            "5.7.1",
            "host 127.0.0.1[127.0.0.1] refused to talk to me: 550 5.7.1 no",
        ),
        (
            {"connect": "close"},
            Deferred,
            "4.4.2",
            "lost connection with 127.0.0.1[127.0.0.1] while receiving the initial server greeting",
        ),
        ({"MAIL*": "close"}, Deferred, "4.4.2", "lost connection with 127.0.0.1[127.0.0.1] while sending MAIL FROM"),
        (
            {"DATA": "554 5.5.1 no data"},
            Bounced,
            "5.5.1",
            "host 127.0.0.1[127.0.0.1] said: 554 5.5.1 no data (in reply to DATA command)",
        ),
        (
            {".": "451 4.3.0 later"},
            Deferred,
            "4.3.0",
            "host 127.0.0.1[127.0.0.1] said: 451 4.3.0 later (in reply to end of DATA command)",
        ),
        (
            {".": "close"},
            Deferred,
            "4.4.2",
            "lost connection with 127.0.0.1[127.0.0.1] while sending end of data -- message may be sent more than once",
        ),
        (
            {"connect": "hello there"},
            Deferred,
            "4.5.0",
            "protocol error: host 127.0.0.1[127.0.0.1] said: hello there while receiving the initial server greeting",
        ),
    ],
)
async def test_each_way_to_fail_is_told_in_postfix_words(agent_for, replies, kind, dsn, text):
    async with listening(Server(replies)) as port:
        [outcome] = await outcomes(agent_for(), f"[127.0.0.1]:{port}", "a@b.test")
    assert isinstance(outcome, kind)
    assert (outcome.status.dsn, outcome.status.text) == (dsn, text)


async def test_a_server_that_hangs_is_left_after_the_time_limit(agent_for):
    async with listening(Server({"RCPT*": "hang"})) as port:
        [outcome] = await outcomes(agent_for(smtp_rcpt_timeout="1s"), f"[127.0.0.1]:{port}", "a@b.test")
    assert outcome.status.text == "conversation with 127.0.0.1[127.0.0.1] timed out while sending RCPT TO"


async def test_where_nobody_listens_the_destination_is_dead(agent_for):
    report = await agent_for().deliver(request("[127.0.0.1]:1", "a@b.test"))
    assert report.results[0].outcome.status.text == "connect to 127.0.0.1[127.0.0.1]:1: Connection refused"
    assert report.destination_dead is not None


async def test_the_next_exchanger_is_tried_when_the_first_is_down_or_says_later(agent_for):
    server = Server()
    async with listening(server) as port:
        zone = Zone(
            {"two.test": [(10, "a.two.test"), (20, "b.two.test")]},
            {"a.two.test": ["127.0.0.3"], "b.two.test": ["127.0.0.1"]},
        )
        agent = agent_for(zone)
        [outcome] = await outcomes(agent, f"two.test:{port}", "x@two.test")
    assert isinstance(outcome, Sent)
    assert outcome.relay == f"b.two.test[127.0.0.1]:{port}"
    assert agent.sink.lines == [f"postfix/smtp: connect to a.two.test[127.0.0.3]:{port}: Connection refused"]


@pytest.mark.parametrize(
    ("domain", "kind", "text"),
    [
        ("null.test", Bounced, "Domain null.test does not accept mail (nullMX)"),
        ("self.test", Bounced, "mail for self.test loops back to myself"),
        (
            "none.test",
            Bounced,
            "Host or domain name not found. Name service error for name=none.test type=A: Host not found",
        ),
        (
            "fail.test",
            Deferred,
            "Host or domain name not found. Name service error for name=fail.test type=MX: Host not found, try again",
        ),
    ],
)
async def test_domains_that_cannot_have_mail(agent_for, domain, kind, text):
    zone = Zone({"null.test": [(0, "")], "self.test": [(10, "me.test")]}, {"me.test": ["127.0.0.9"]}, ["fail.test"])
    [outcome] = await outcomes(agent_for(zone), domain, f"x@{domain}")
    assert isinstance(outcome, kind)
    assert outcome.status.text == text


async def test_size_and_dsn_are_said_where_the_server_knows_them(agent_for):
    server = Server(extensions=("SIZE 9999", "DSN", "PIPELINING"))
    recipient = Recipient("a@b.test", orcpt="rfc822;a+b@c.test", notify=Notify.SUCCESS | Notify.FAILURE)
    async with listening(server) as port:
        [outcome] = await outcomes(agent_for(), f"[127.0.0.1]:{port}", recipient, envid="x=1", ret="HDRS")
    assert outcome.dsn_passed
    assert server.commands[1] == "MAIL FROM:<me@example.com> SIZE=17 ENVID=x+3D1 RET=HDRS"
    assert server.commands[2] == "RCPT TO:<a@b.test> ORCPT=rfc822;a+2Bb@c.test NOTIFY=SUCCESS,FAILURE"


async def test_a_probe_delivers_nothing(agent_for):
    server = Server()
    async with listening(server) as port:
        [outcome] = await outcomes(agent_for(), f"[127.0.0.1]:{port}", "a@b.test", trace=Trace.REPORT_ONLY)
    assert outcome.deliverable
    assert server.messages == []
    assert "DATA" not in server.commands


async def test_lmtp_answers_for_each_recipient(agent_for):
    server = Server({". RCPT TO:<full@*": "452 4.2.2 quota"}, lmtp=True)
    async with listening(server) as port:
        good, full = await outcomes(agent_for(command="lmtp"), f"inet:127.0.0.1:{port}", "a@b.test", "full@b.test")
    assert isinstance(good, Sent)
    assert isinstance(full, Deferred)
    assert server.commands[0] == "LHLO mx.example.com"


async def test_a_body_in_a_file_arrives_whole(agent_for, tmp_path):
    body = b"\n" + b".dots and lines\n" * 50000
    path = tmp_path / "body"
    path.write_bytes(b"junk" + body)
    server = Server()
    async with listening(server) as port:
        await outcomes(agent_for(), f"[127.0.0.1]:{port}", "a@b.test", body=FilePart(str(path), 4, len(body)))
    assert server.messages[0] == (b"Subject: x\n" + body).replace(b"\n", b"\r\n")


async def test_connections_are_used_again_where_more_mail_waits(agent_for):
    server = Server()
    agent = agent_for()
    async with listening(server) as port:
        for _ in range(3):
            one = request(f"[127.0.0.1]:{port}", "a@b.test")
            await agent.deliver(
                DeliveryRequest(one.message, "smtp", one.nexthop, one.targets, 1.0, 1.0, connection_reuse=True)
            )
        await agent.close()
        await asyncio.sleep(0.05)
    assert (server.sessions, len(server.messages)) == (1, 3)


def test_next_hops_are_read_in_all_their_forms():
    hops = parse_next_hops("[mx.test]:587, other.test [IPv6:2001:db8::1]")
    assert [(hop.host, hop.port, hop.by_mx) for hop in hops] == [
        ("mx.test", "587", False),
        ("other.test", "", True),
        ("2001:db8::1", "", False),
    ]
    assert parse_next_hops("unix:private/lmtp", lmtp=True)[0].path == "private/lmtp"
    with pytest.raises(ConfigError):
        parse_next_hops("a b:c:d")


async def test_a_probe_up_to_data_hears_what_data_says_and_sends_nothing(agent_for):
    server = Server({"DATA": "554 5.7.1 not from you"})
    async with listening(server) as port:
        agent = agent_for(smtp_address_verify_target="data")
        [outcome] = await outcomes(agent, f"[127.0.0.1]:{port}", "a@b.test", trace=Trace.PROBE)
    assert isinstance(outcome, Bounced)
    assert outcome.status.text == ("host 127.0.0.1[127.0.0.1] said: 554 5.7.1 not from you (in reply to DATA command)")
    assert server.messages == []


async def test_addresses_beyond_ascii_need_a_server_that_knows_them(agent_for):
    async with listening(Server()) as port:
        [outcome] = await outcomes(agent_for(), f"[127.0.0.1]:{port}", "jürgen@b.test", smtputf8=True)
    assert outcome.status.dsn == "5.6.7"
    assert outcome.status.text == "SMTPUTF8 is required, but was not offered by host 127.0.0.1[127.0.0.1]"
    utf8 = Server(extensions=("SMTPUTF8", "8BITMIME"))
    async with listening(utf8) as port:
        [outcome] = await outcomes(agent_for(), f"[127.0.0.1]:{port}", "jürgen@b.test", smtputf8=True)
    assert isinstance(outcome, Sent)
    assert "MAIL FROM:<me@example.com> SMTPUTF8" in utf8.commands


async def test_keywords_of_a_certain_server_are_overlooked(agent_for):
    server = Server(extensions=("PIPELINING", "8BITMIME"))
    async with listening(server) as port:
        agent = agent_for(smtp_discard_ehlo_keyword_address_maps="inline:{ 127.0.0.1=8bitmime }")
        await outcomes(
            agent, f"[127.0.0.1]:{port}", "a@b.test", encoding="8BITMIME", body="\nä\n".encode(), extra=EIGHT_BIT
        )
    assert "MAIL FROM:<me@example.com>" in server.commands
    assert b"=C3=A4" in server.messages[0]


@pytest.mark.parametrize("nexthop", ["[198.51.100.27", "[mail.example.net:25"])
async def test_a_next_hop_without_its_closing_bracket_makes_the_mail_wait(nexthop):
    with pytest.raises(ConfigError, match='missing "]" in server description'):
        parse_next_hops(nexthop)
