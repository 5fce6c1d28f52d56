"""The scanner as a milter, spoken to packet by packet."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager, suppress

import pytest

from backstage.test_backstage_scan import Bouncer, Front, Vault, clamd, daemon, spamd
from posthouse.backstage import scan_milter
from posthouse.backstage.message_spool import MessageSpool
from posthouse.backstage.scan_milter import ScanMilter
from posthouse.config.settings import load
from posthouse.filters.scanner.rules import scan_rules
from posthouse.mail.content import FilePart
from posthouse.protocols import milter
from posthouse.protocols.milter import Event, Verdict
from posthouse.services.house import House
from posthouse.system.log import MemorySink

CONF = "$final_spam_destiny = D_REJECT; @local_domains_maps = (['.example.org']); @spam_lovers_maps = (['lover@example.org']);"


class Server:
    """A mail server's side of one connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer, self.packets, self.waiting = reader, writer, milter.PacketReader(), []

    def say(self, *packets):
        self.writer.write(b"".join(packets))

    async def hear(self):
        while not self.waiting:
            data = await asyncio.wait_for(self.reader.read(65536), 10)
            if not data:
                return None
            self.waiting = self.packets.feed(data)
        return self.waiting.pop(0)

    async def negotiate(self, version=6):
        self.say(milter.offer(version))
        return milter.read_negotiation(*await self.hear(), version)

    async def envelope(self, *recipients, sender="<friend@sender.test>"):
        self.say(
            milter.connect("client.test", "192.0.2.7", "4321"), milter.packet(b"H", milter.text("helo.test")),
            milter.macros(Event.MAIL, [("i", "QID1"), ("{auth_authen}", "")]),
            milter.packet(b"M", milter.text(sender, "SIZE=100")),
        )  # fmt: skip
        for name in recipients or ("info@example.org",):
            self.say(milter.packet(b"R", milter.text(f"<{name}>")))

    async def message(self, body, *fields):
        self.say(milter.packet(b"T"))
        for name, value in (("Date", "x"), ("From", "y"), ("Subject", "hi"), *fields):
            self.say(milter.header(name.encode(), f" {value}".encode()))
        self.say(milter.packet(b"N"), *(milter.packet(b"B", body[at : at + 7000]) for at in range(0, len(body), 7000)))
        return await self.verdict()

    async def verdict(self):
        """All that is answered to the end of the message."""
        self.say(milter.packet(b"E"))
        heard = []
        while True:
            said = milter.read_response(*await self.hear(), Event.END_OF_MESSAGE)
            if said is not Verdict.PROGRESS:
                heard.append(said)
            if isinstance(said, (Verdict, milter.ReplyCode)) and said is not Verdict.PROGRESS:
                return heard


@pytest.fixture
async def connect(tmp_path):
    """connect(...) gives a mail server's side; its .milter is the scanner."""
    made = []

    @asynccontextmanager
    async def open_one(conf=CONF, spam=spamd, virus=clamd, **settings):
        async with daemon(spam) as spam_address, daemon(virus) as virus_address:
            (tmp_path / "amavisd.conf").write_text(conf)
            lines = {
                "myhostname": "mx.example.com", "mail_owner": "root", "posthouse_scan_timeout": "5s", "mynetworks": "127.0.0.0/8",
                "queue_directory": tmp_path, "posthouse_scan_spamd": spam_address, "posthouse_scan_clamd": virus_address,
                "posthouse_scan_amavisd_conf": tmp_path / "amavisd.conf", **settings,
            }  # fmt: skip
            (tmp_path / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
            loaded, sink, front, vault, bouncer = load(str(tmp_path)), MemorySink(), Front(), Vault(), Bouncer()
            house = House(loaded, (), sink, intake=front, privileged=vault, bouncer=bouncer)
            scanner = ScanMilter(scan_rules(loaded), loaded, house)
            scanner.lines, scanner.vault, scanner.bounces = sink.lines, vault, bouncer.told
            listener = await asyncio.start_server(scanner.serve, "127.0.0.1", 0)
            server = Server(*await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1]))
            server.milter = scanner
            made.append(server)
            try:
                yield server
            finally:
                server.writer.close()
                with suppress(OSError):
                    await server.writer.wait_closed()
                listener.close()
                await scanner.close(2)

    return open_one


async def test_clean_mail_gets_its_field_on_top(connect):
    async with connect() as server:
        agreed = await server.negotiate()
        assert agreed.steps & milter.Steps.NO_REPLY_HEADER
        await server.envelope()
        heard = await server.message(b"hello\r\n", ("X-Spam-Flag", "YES"))
        assert heard == [
            milter.ChangeHeader(1, b"x-spam-flag", b""),
            milter.InsertHeader(0, b"X-Virus-Scanned", b" Posthouse at example.com"),
            Verdict.CONTINUE,
        ]
        line = server.milter.lines[-1]
        assert (
            "Passed CLEAN {RelayedInbound}, [192.0.2.7]:4321 [192.0.2.7] <friend@sender.test> -> <info@example.org>"
            in line
        )
        assert "Queue-ID: QID1, mail_id: " in line


async def test_an_old_server_is_answered_at_each_step(connect):
    async with connect() as server:
        agreed = await server.negotiate(2)
        assert agreed.version == 2
        await server.envelope()
        for _ in range(4):
            assert await server.hear() == (b"c", b"")
        heard = await server.message(b"EICAR\r\n")
        assert heard[-1] is Verdict.CONTINUE  # to the first field: this server hears an answer to each
        assert [(await server.hear())[0] for _ in range(6)] == [b"c"] * 5 + [b"d"]


async def test_spam_is_refused_and_a_virus_is_discarded(connect):
    async with connect() as server:
        await server.negotiate()
        await server.envelope()
        (reply,) = await server.message(b"GTUBE\r\n")
        assert reply.text.startswith("554 5.7.0 Reject, id=")
        await server.envelope()
        assert await server.message(b"EICAR\r\n") == [Verdict.DISCARD]


async def test_recipients_for_whom_it_is_spam_are_taken_out_and_the_sender_is_told(connect):
    async with connect(
        CONF + "$sa_kill_level_deflt = 4; $sa_spam_subject_tag = '[S] '; $sa_tag2_level_deflt = 4;"
    ) as server:
        await server.negotiate()
        await server.envelope("info@example.org", "lover@example.org")
        heard = await server.message(b"cheap\r\n")
        assert milter.ChangeHeader(1, b"Subject", b" [S] hi") in heard
        assert heard[-2:] == [milter.DeleteRecipient("<info@example.org>"), Verdict.CONTINUE]
        assert [name for name, _ in server.milter.bounces] == ["info@example.org"]


async def test_several_messages_on_a_connection_and_an_aborted_one_between(connect):
    async with connect() as server:
        await server.negotiate()
        await server.envelope()
        server.say(milter.packet(b"B", b"EICAR"), milter.packet(b"A"))
        for text in (b"EICAR", b"fine", b"EICAR"):
            await server.envelope()
            assert (await server.message(text))[-1] is (Verdict.DISCARD if text == b"EICAR" else Verdict.CONTINUE)
        server.say(milter.packet(b"K"))
        await server.envelope()
        assert (await server.message(b"fine"))[-1] is Verdict.CONTINUE
        server.say(milter.packet(b"Q"))
        assert await server.hear() is None


async def test_a_large_body_goes_by_way_of_a_file_that_is_gone_afterwards(connect, tmp_path):
    async with connect() as server:
        await server.negotiate()
        await server.envelope()
        body = b"many words \r\n" * 200_000
        assert await server.message(body + b"EICAR\r\n") == [Verdict.DISCARD]
        assert list((tmp_path / "posthouse/spool").iterdir()) == []


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("defer", "451 4.7.1 Error: content scanner is not available"),
        ("quarantine", "not scanned for viruses"),
        ("pass", ""),
    ],
)
async def test_while_clamd_is_down(connect, choice, expected):
    async with connect(virus=lambda _: None, posthouse_scan_clamd_down=choice) as server:
        await server.negotiate()
        await server.envelope()
        heard = await server.message(b"fine\r\n")
        match choice:
            case "defer":
                assert heard[0].text.startswith(expected)
            case "quarantine":
                assert heard[0].reason.startswith(expected)
                assert heard[1] is Verdict.CONTINUE
            case "pass":
                alert = b" UNCHECKED contents, not scanned for viruses"
                assert milter.InsertHeader(0, b"X-Amavis-Alert", alert) in heard


async def test_a_server_that_waits_hears_that_work_goes_on(connect, monkeypatch):
    monkeypatch.setattr(scan_milter, "PROGRESS_S", 0.1)

    async def slowly(*_):
        await asyncio.sleep(0.5)
        return []

    async with connect() as server:
        await server.negotiate()
        await server.envelope()
        monkeypatch.setattr(server.milter.acts, "local", slowly)
        server.say(milter.packet(b"E"))
        assert await server.hear() == (b"p", b"")


@pytest.mark.parametrize(
    "packets",
    [
        b"GET / HTTP/1.0\r\n\r\n", milter.packet(b"C", b"x\0U"), b"\0\0\0\0", b"\xff" * 8, milter.packet(b"O", b"short"),
        milter.offer(6) + milter.packet(b"Z"), milter.offer(6) + milter.packet(b"L", b"no end"),
        milter.offer(6) + milter.packet(b"C", b"no family"), milter.packet(b"O", struct.pack(">III", 1, 0, 0)),
        milter.offer(6) + milter.packet(b"L", b"a\0b\0c\0"),
    ],
)  # fmt: skip
async def test_what_is_no_milter_protocol_ends_the_connection_with_a_line_in_the_log(connect, packets):
    async with connect() as server:
        server.say(packets)
        while await server.hear() is not None:
            pass
        assert "milter: connection ended: " in server.milter.lines[-1]


async def test_a_header_without_end_ends_the_connection(connect):
    async with connect() as server:
        await server.negotiate()
        await server.envelope()
        server.say(*[milter.header(b"X", b"y" * 60_000)] * 150)
        with suppress(ConnectionError):
            while await server.hear() is not None:
                pass
        assert "a header of more than 8000000 bytes" in server.milter.lines[-1]


def test_a_spool_joins_what_was_cut_between_cr_and_lf(tmp_path):
    spool = MessageSpool(str(tmp_path), "name", 0)
    for piece in (b"a\r", b"\nb\r\nc\r", b"d", b"\r"):
        spool.add(piece)
    assert spool.close(b"H: x\n").body == b"\na\nb\nc\rd\r"


def test_a_spool_has_a_limit_and_tells_of_a_full_disk(tmp_path):
    spool = MessageSpool(str(tmp_path), "name", 10)
    spool.add(b"x" * 20)
    with pytest.raises(OSError, match="message_size_limit"):
        spool.close(b"")
    spool = MessageSpool("/proc/none", "name", 0)
    spool.add(b"x" * 2_000_000)
    with pytest.raises(OSError, match="proc"):
        spool.close(b"")


def test_a_large_body_is_in_a_file_until_it_is_discarded(tmp_path):
    spool = MessageSpool(str(tmp_path), "name", 0)
    for _ in range(30):
        spool.add(b"x" * 99_998 + b"\r\n")
    body = spool.close(b"").body
    assert body == FilePart(str(tmp_path / "name"), 0, 1 + 30 * 99_999)
    assert (tmp_path / "name").stat().st_size == body.length
    spool.discard()
    assert not (tmp_path / "name").exists()
