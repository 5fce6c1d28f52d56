"""The scanner behind the queue: what passes goes on with its marks, what does not ends as main.cf says, nothing is lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from posthouse.backstage.scan import ScanIntake
from posthouse.config.settings import load
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.mail.outcome import Bounced, Deferred, Sent
from posthouse.mail.status import Status
from posthouse.services.delivery import Report, Result
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Discarded, Refused, Submission
from posthouse.system.log import MemorySink

TAKEN = Sent(Status("2.0.0", 250, "250 2.0.0 Ok: queued as DEADBEEF1"), "127.0.0.1[127.0.0.1]:10025")


class NextHop:
    def __init__(self, outcome=TAKEN):
        self.outcome, self.messages = outcome, []

    async def deliver(self, request):
        self.messages.append(request.message.content)
        return Report(tuple(Result(target.index, self.outcome) for target in request.targets))


class Vault:
    """Keeps what is put aside."""

    def __init__(self):
        self.mails = []

    async def write_maildir(self, mail):
        self.mails.append(mail)


class Front:
    def __init__(self):
        self.taken = []

    def new_queue_id(self):
        return "AB1"

    async def take(self, submission):
        self.taken.append(submission)
        return Accepted("AB2")


@asynccontextmanager
async def daemon(answer):
    """A spamd or clamd that reads all and then says answer(what it read); None hangs up."""

    async def serve(reader, writer):
        data = b""
        while chunk := await reader.read(65536):
            data += chunk
            if data.endswith(b"\0\0\0\0"):
                break
        said = answer(data)
        if said is not None:
            writer.write(said)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"inet:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0.01)


def spamd(data):
    assert data.startswith(b"SYMBOLS SPAMC/1.5\r\nContent-length: ")
    score = 1000 if b"GTUBE" in data else 5 if b"cheap" in data else 0
    return b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; %d / 5.0\r\n\r\nONE,TWO\r\n" % score


def clamd(data):
    assert data.startswith(b"zINSTREAM\0")
    return b"stream: Eicar-Test FOUND\0" if b"EICAR" in data else b"stream: OK\0"


@pytest.fixture
async def scanner(tmp_path):
    async with AsyncExitStack() as stack:

        async def make(spam=spamd, virus=clamd, hop=None, conf="", **settings):
            lines = {
                "myhostname": "mx.example.com", "mail_owner": "root", "posthouse_scan_timeout": "2s",
                "posthouse_scan_spamd": await stack.enter_async_context(daemon(spam)) if spam else "",
                "posthouse_scan_clamd": await stack.enter_async_context(daemon(virus)) if virus else "", **settings,
            }  # fmt: skip
            if conf:
                (tmp_path / "amavisd.conf").write_text(conf)
                lines["posthouse_scan_amavisd_conf"] = tmp_path / "amavisd.conf"
            (tmp_path / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
            loaded, sink, front, vault = load(str(tmp_path)), MemorySink(), Front(), Vault()
            hop = hop or NextHop()
            house = House(loaded, (), sink, intake=front, privileged=vault, agent=lambda _: hop)
            made = ScanIntake(loaded, house)
            made.log, made.hop, made.front, made.vault = sink.lines, hop, front, vault
            return made

        yield make


def mail(text=b"\nhello\n"):
    recipients = (Recipient("info@example.org"),)
    return Submission(Envelope("friend@sender.test", recipients), Content(b"Subject: hi\n", text), 1.0, queue_id="AB1")


async def test_clean_mail_goes_on_with_a_mark_and_a_log_line(scanner):
    scan = await scanner()
    assert await scan.take(mail()) == Accepted("AB1")
    assert scan.hop.messages[0].header == b"X-Virus-Scanned: Posthouse at mx.example.com\nSubject: hi\n"
    assert "Passed CLEAN {RelayedInternal}, <friend@sender.test> -> <info@example.org>, Queue-ID: AB1" in scan.log[0]
    assert "queued_as: DEADBEEF1" in scan.log[0]


async def test_spammy_mail_goes_on_with_its_score(scanner):
    scan = await scanner(conf="$sa_tag2_level_deflt = 4;\n$sa_spam_subject_tag = '[SPAM] ';\n")
    assert isinstance(await scan.take(mail(b"\ncheap\n")), Accepted)
    header = scan.hop.messages[0].header
    assert b"X-Spam-Flag: YES\nX-Spam-Score: 5\nX-Spam-Level: *****\nX-Spam-Status: Yes, score=5" in header
    assert header.endswith(b"Subject: [SPAM] hi\n")


async def test_spam_is_refused_so_that_the_server_in_front_tells_the_sender(scanner):
    scan = await scanner(conf="$final_spam_destiny = D_REJECT;\n")
    answer = await scan.take(mail(b"\nGTUBE\n"))
    assert answer == Refused(Status("5.7.0", 554, "Reject, id=AB1 - SPAM"))
    assert scan.hop.messages == []
    assert "Blocked SPAM {RejectedInternal}" in scan.log[0]


async def test_a_virus_is_kept_aside_thrown_away_and_told(scanner):
    conf = "$QUARANTINEDIR = '/q';\n$virus_admin = 'root@example.org';\n$final_virus_destiny = D_DISCARD;\n"
    scan = await scanner(conf=conf)
    assert await scan.take(mail(b"\nEICAR\n")) == Discarded("AB1")
    assert scan.vault.mails[0].path == "/q/"
    assert b"Subject: INFECTED (Eicar-Test) from <friend@sender.test>" in scan.front.taken[0].content.header
    assert "Blocked INFECTED (Eicar-Test) {DiscardedInternal,Quarantined}" in scan.log[-1]


async def test_with_no_virus_scanner_mail_waits(scanner):
    scan = await scanner(virus=lambda _: None)
    answer = await scan.take(mail())
    assert answer.status.dsn == "4.7.1"
    assert scan.hop.messages == []


async def test_with_no_spam_scanner_mail_passes_by_default(scanner):
    scan = await scanner(spam=lambda _: b"garbage")
    assert isinstance(await scan.take(mail()), Accepted)
    assert "Hits: -" in scan.log[-1]


async def test_a_daemon_that_fails_again_and_again_is_left_alone_for_a_while(scanner):
    asked = []
    scan = await scanner(virus=asked.append)
    for _ in range(5):
        await scan.take(mail())
    assert len(asked) == 3
    assert any("rests for 30 s" in line for line in scan.log)


@pytest.mark.parametrize(
    ("outcome", "dsn"),
    [(Deferred(Status("4.4.1", 0, "connect: refused")), "4.4.1"), (Bounced(Status("5.1.1", 550, "gone")), "5.1.1")],
)
async def test_what_the_next_hop_does_not_take_is_not_taken_here(scanner, outcome, dsn):
    scan = await scanner(hop=NextHop(outcome))
    answer = await scan.take(mail())
    assert isinstance(answer, Refused)
    assert answer.status.dsn == dsn


async def test_a_virus_in_a_body_in_a_file_is_found(scanner, tmp_path):
    body = b"\n" + b"x" * 300_000 + b"EICAR\n"
    (tmp_path / "body").write_bytes(body)
    scan = await scanner()
    assert isinstance(await scan.take(mail(FilePart(str(tmp_path / "body"), 0, len(body)))), Discarded)


async def test_perl_that_is_not_understood_is_named_at_the_start(scanner):
    scan = await scanner(conf="$a = 1;\nread_hash(\\%x, '/y');\n")
    assert "line 2: not understood, has no effect: read_hash" in scan.log[0]
