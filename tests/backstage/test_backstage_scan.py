"""The scanner behind the queue: what passes goes on with its marks, what does not ends as its rules say, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from posthouse.backstage.scan import ScanIntake
from posthouse.config.settings import load
from posthouse.filters.scanner.rules import scan_rules
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Origin, Recipient
from posthouse.mail.outcome import Bounced, Deferred, Sent
from posthouse.mail.status import Status
from posthouse.services.delivery import Report, Result
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Refused, Submission
from posthouse.system.log import MemorySink

TAKEN = Sent(Status("2.0.0", 250, "250 2.0.0 Ok: queued as DEADBEEF1"), "127.0.0.1[127.0.0.1]:10025")
LATER, NEVER = Deferred(Status("4.4.1", 0, "connect: refused")), Bounced(Status("5.1.1", 550, "gone"))
ORIGIN = Origin(client_address="192.0.2.7", client_port="99", identifier="ID1", source="REMOTE")
HEADER = b"Date: x\nFrom: friend@sender.test\nMessage-ID: <m@x>\nSubject: hi\n"
LOCAL = "@local_domains_maps = (['.example.org']);\n"


class NextHop:
    """Answers each recipient with its outcome, or TAKEN."""

    def __init__(self, **outcomes):
        self.outcomes, self.messages = outcomes, []

    async def deliver(self, request):
        self.messages.append(request.message)
        names = {target.index: target.recipient.address.partition("@")[0] for target in request.targets}
        return Report(tuple(Result(index, self.outcomes.get(name, TAKEN)) for index, name in names.items()))

    async def close(self):
        pass


class Vault:
    """Keeps what is put aside; says what it is told to say."""

    def __init__(self):
        self.mails, self.trouble = [], None

    async def write_maildir(self, mail):
        self.mails.append(mail)
        return self.trouble


class Front:
    """The house's own queue."""

    def __init__(self):
        self.taken, self.kept, self.refuses = [], [], False

    def new_queue_id(self):
        return f"AB{len(self.taken) + len(self.kept) + 2}"

    async def take(self, submission):
        self.taken.append(submission)
        return Refused(Status("4.3.1", 452, "full")) if self.refuses else Accepted("AB9")

    async def keep(self, message):
        self.kept.append(message)
        return Refused(Status("4.3.1", 452, "full")) if self.refuses else Accepted(message.queue_id)


class Bouncer:
    def __init__(self):
        self.told = []

    async def failure(self, message, results):
        self.told += [(message.envelope.recipients[result.index].address, result.outcome.status) for result in results]
        return [message]


@asynccontextmanager
async def daemon(answer):
    """A spamd or clamd that reads all and then says answer(what it read); None hangs up."""
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            said = answer(await reader.read())
            if said is not None:
                writer.write(said)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"inet:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)


def spamd(data):
    assert data.startswith(b"SYMBOLS SPAMC/1.5\r\nContent-length: ")
    user = 3 if b"\r\nUser: picky\r\n" in data else 0
    score = 1000 if b"GTUBE" in data else 5 + user if b"cheap" in data else user
    return b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; %d / 5.0\r\n\r\nONE,TWO\r\n" % score


def clamd(data):
    if data == b"zPING\0":
        return b"PONG\0"
    assert data.startswith(b"zINSTREAM\0")
    return b"stream: Eicar-Test FOUND\0" if b"EICAR" in data else b"stream: OK\0"


@pytest.fixture
async def scanner(tmp_path):
    async with AsyncExitStack() as stack:

        async def make(spam=spamd, virus=clamd, hop=None, conf="", **settings):
            lines = {
                "myhostname": "mx.example.com", "mail_owner": "root", "posthouse_scan_timeout": "2s", "mynetworks": "127.0.0.0/8",
                "posthouse_scan_spamd": await stack.enter_async_context(daemon(spam)) if spam else "",
                "posthouse_scan_clamd": await stack.enter_async_context(daemon(virus)) if virus else "", **settings,
            }  # fmt: skip
            if conf:
                (tmp_path / "amavisd.conf").write_text(conf)
                lines["posthouse_scan_amavisd_conf"] = tmp_path / "amavisd.conf"
            (tmp_path / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
            loaded, sink, front, vault, bouncer = load(str(tmp_path)), MemorySink(), Front(), Vault(), Bouncer()
            hop = hop or NextHop()
            house = House(loaded, (), sink, intake=front, privileged=vault, bouncer=bouncer)
            made = ScanIntake(scan_rules(loaded), loaded, house, hop)
            made.log, made.hop, made.front, made.vault, made.bounces = sink.lines, hop, front, vault, bouncer.told
            return made

        yield make


def mail(text=b"\nhello\n", *names, sender="friend@sender.test", header=HEADER, **more):
    recipients = tuple(Recipient(f"{name}@example.org") for name in names or ("info",))
    envelope = Envelope(sender, recipients, origin=ORIGIN)
    return Submission(envelope, Content(header, text), 1.0, queue_id="AB1", **more)


async def test_clean_mail_goes_on_with_a_mark_and_a_log_line(scanner):
    scan = await scanner()
    answer = await scan.take(mail())
    assert answer.said.text == "from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as DEADBEEF1"
    assert scan.hop.messages[0].content.header == b"X-Virus-Scanned: Posthouse at example.com\n" + HEADER
    assert scan.hop.messages[0].envelope.origin.identifier == "ID1"
    assert (
        "Passed CLEAN {RelayedInbound}, [192.0.2.7]:99 [192.0.2.7] <friend@sender.test> -> <info@example.org>, "
        "Queue-ID: ID1, Message-ID: <m@x>, mail_id: "
    ) in scan.log[0]
    assert ", Hits: 0, size: 70, queued_as: DEADBEEF1, " in scan.log[0]


async def test_spam_is_refused_so_that_the_server_in_front_tells_the_sender(scanner):
    scan = await scanner(conf="$final_spam_destiny = D_REJECT;\n")
    answer = await scan.take(mail(b"\nGTUBE\n"))
    assert (answer.status.code, answer.status.dsn) == (554, "5.7.0")
    assert answer.status.text.endswith(" - spam")
    assert scan.hop.messages == []
    assert "Blocked SPAM {RejectedInbound}" in scan.log[0]


async def test_spam_is_bounced_unless_it_is_beyond_doubt_or_from_nobody(scanner):
    scan = await scanner(conf="$final_spam_destiny = D_BOUNCE; $sa_kill_level_deflt = 4; $sa_dsn_cutoff_level = 10;\n")
    assert (await scan.take(mail(b"\ncheap\n"))).said.text.endswith(", BOUNCE")
    assert [(name, status.dsn) for name, status in scan.bounces] == [("info@example.org", "5.7.0")]
    assert scan.front.kept[0].queue_id == "AB1"
    assert "Blocked SPAM {BouncedInbound}" in scan.log[0]
    for text, sender in ((b"\nGTUBE\n", "friend@sender.test"), (b"\ncheap\n", "")):
        assert (await scan.take(mail(text, sender=sender))).said.text.endswith("DISCARD(bounce.suppressed)")
        assert "Blocked SPAM {NoBounceInbound}" in scan.log[-1]
    assert len(scan.bounces) == 1


async def test_a_virus_is_kept_aside_thrown_away_and_told(scanner):
    conf = "$QUARANTINEDIR = '/q';\n$virus_admin = 'root@example.org';\n$final_virus_destiny = D_DISCARD;\n"
    scan = await scanner(conf=conf)
    answer = await scan.take(mail(b"\nEICAR\n"))
    assert answer.said.text.startswith("Ok, discarded, id=")
    assert scan.vault.mails[0].path == "/q/"
    assert b"X-Amavis-Alert: INFECTED, message contains virus: Eicar-Test\n" in scan.vault.mails[0].head
    assert (
        b"Subject: VIRUS (Eicar-Test) in mail FROM [192.0.2.7]:99 <friend@sender.test>"
        in scan.front.taken[0].content.header
    )
    assert "Blocked INFECTED (Eicar-Test) {DiscardedInbound,Quarantined}" in scan.log[-1]
    assert ", Hits: -, " in scan.log[-1]


async def test_what_cannot_be_kept_aside_waits(scanner):
    scan = await scanner(conf="$QUARANTINEDIR = '/q';\n")
    scan.vault.trouble = Status("4.2.0", 0, "no space")
    assert (await scan.take(mail(b"\nEICAR\n"))).status.dsn == "4.3.0"
    assert "/q: no space" in scan.log[-1]


async def test_an_address_can_be_a_quarantine_too(scanner, tmp_path):
    body = b"\n" + b"x" * 300_000 + b"EICAR\n"
    (tmp_path / "body").write_bytes(body)
    scan = await scanner(conf="$virus_quarantine_to = 'box@example.org';\n")
    await scan.take(mail(FilePart(str(tmp_path / "body"), 0, len(body))))
    kept = scan.front.taken[0]
    assert kept.envelope.recipients == (Recipient("box@example.org"),)
    assert kept.content.header.startswith(b"Return-Path: <friend@sender.test>\n")
    assert os.path.getsize(kept.content.body.path) == len(body)
    assert not (tmp_path / "body").exists()


async def test_a_body_in_a_file_is_scanned_and_the_file_is_gone_afterwards(scanner, tmp_path):
    for ending in (b"EICAR\n", b"fine\n"):
        body = b"\n" + b"x" * 300_000 + ending
        (tmp_path / "body").write_bytes(body)
        scan = await scanner()
        answer = await scan.take(mail(FilePart(str(tmp_path / "body"), 0, len(body))))
        assert ("discarded" in answer.said.text) is (ending == b"EICAR\n")
        assert not (tmp_path / "body").exists()


async def test_recipients_with_other_rules_get_other_mail(scanner):
    conf = f"{LOCAL}@spam_lovers_maps = (['lover@example.org']); $sa_kill_level_deflt = 4; $sa_tag2_level_deflt = 4;"
    scan = await scanner(
        conf=f"{conf} @bypass_spam_checks_maps = (['bypass@example.org']); $final_spam_destiny = D_DISCARD;"
    )
    answer = await scan.take(mail(b"\ncheap\n", "info", "lover", "bypass"))
    assert "queued as" in answer.said.text
    sent = [(message.content.header, message.envelope.recipients) for message in scan.hop.messages]
    assert [b"X-Spam-Flag: YES" in header for header, _ in sent] == [True, False]
    assert "Passed SPAM {DiscardedInbound,RelayedTaggedInbound,RelayedInbound}" in scan.log[0]
    assert "-> <lover@example.org>,<bypass@example.org>," in scan.log[0]
    assert "Blocked SPAM {DiscardedInbound" in scan.log[1]


async def test_each_recipients_own_preferences_are_asked_for(scanner):
    scan = await scanner(
        conf="$sa_kill_level_deflt = 8; $final_spam_destiny = D_DISCARD;", posthouse_scan_spamd_user="$user"
    )
    await scan.take(mail(b"\ncheap\n", "picky", "info"))
    assert [message.content.header.count(b"score=5") for message in scan.hop.messages] == [1]
    assert "Blocked SPAM" in scan.log[1]


async def test_over_lmtp_everybody_has_an_answer(scanner):
    conf = "@virus_lovers_maps = (['lover@example.org']); $final_virus_destiny = D_REJECT;"
    scan = await scanner(conf=conf, hop=NextHop(later=LATER, lover=TAKEN))
    answer = await scan.take(mail(b"\nEICAR\n", "info", "lover", by_recipient=True))
    assert [status.code for status in answer.statuses] == [554, 250]
    assert scan.bounces == []
    answer = await scan.take(mail(b"\nfine\n", "info", "later", by_recipient=True))
    assert [status.code for status in answer.statuses] == [250, 451]
    assert scan.front.kept == []


async def test_over_smtp_a_refusal_among_acceptances_is_a_bounce(scanner):
    conf = "@spam_lovers_maps = (['lover@example.org']); $final_spam_destiny = D_REJECT; $sa_kill_level_deflt = 4;"
    scan = await scanner(conf=conf)
    answer = await scan.take(mail(b"\ncheap\n", "info", "lover"))
    assert answer.said.text.endswith("but 1 REJECT")
    assert [name for name, _ in scan.bounces] == ["info@example.org"]
    assert "{BouncedInbound,RelayedTaggedInbound}" in scan.log[0]


async def test_when_the_next_hop_takes_it_for_some_the_others_wait_in_the_queue(scanner):
    scan = await scanner(hop=NextHop(later=LATER, never=NEVER))
    answer = await scan.take(mail(b"\nfine\n", "info", "later", "never"))
    assert isinstance(answer, Accepted)
    waiting = scan.front.kept[0]
    assert [recipient.address for recipient in waiting.envelope.recipients] == ["later@example.org"]
    assert waiting.envelope.content_filter == "smtp:[127.0.0.1]:10025"
    assert waiting.content.header.startswith(b"X-Virus-Scanned")
    assert [name for name, _ in scan.bounces] == ["never@example.org"]


@pytest.mark.parametrize(("outcome", "code", "dsn"), [(LATER, 451, "4.4.1"), (NEVER, 554, "5.1.1")])
async def test_what_the_next_hop_does_not_take_is_not_taken_here(scanner, outcome, code, dsn):
    scan = await scanner(hop=NextHop(info=outcome))
    answer = await scan.take(mail())
    assert (answer.status.code, answer.status.dsn) == (code, dsn)
    assert scan.front.kept == []
    assert scan.bounces == []


async def test_a_bounce_that_cannot_be_queued_leaves_the_mail_where_it_is(scanner):
    scan = await scanner(conf="$final_banned_destiny = D_BOUNCE;", posthouse_scan_banned_names="text/plain")
    scan.front.refuses = True
    assert (await scan.take(mail())).status.is_temporary


@pytest.mark.parametrize(
    ("choices", "code", "words"),
    [
        ({}, 451, "not scanned for viruses: clamd"),
        ({"posthouse_scan_clamd_down": "pass"}, 250, "Passed UNCHECKED {RelayedInbound}"),
        ({"posthouse_scan_clamd_down": "quarantine", "posthouse_scan_quarantine": "/q"}, 250, "Blocked UNCHECKED {Discarded"),
        ({"posthouse_scan_clamd_down": "quarantine"}, 451, "no quarantine, and not scanned for viruses"),
    ],
)  # fmt: skip
async def test_while_no_virus_scanner_answers(scanner, choices, code, words):
    scan = await scanner(virus=lambda _: None, **choices)
    answer = await scan.take(mail())
    assert (answer.status.code if isinstance(answer, Refused) else 250) == code
    assert any(words in line for line in scan.log)
    if choices == {"posthouse_scan_clamd_down": "pass"}:
        assert b"X-Amavis-Alert: UNCHECKED contents, not scanned for viruses\n" in scan.hop.messages[0].content.header
    if "posthouse_scan_quarantine" in choices:
        assert len(scan.vault.mails) == 1


async def test_with_no_spam_scanner_mail_passes_by_default_and_says_so(scanner):
    scan = await scanner(spam=lambda _: b"garbage")
    assert isinstance(await scan.take(mail()), Accepted)
    assert b"X-Posthouse-Scan-Note: not checked for spam\n" in scan.hop.messages[0].content.header
    assert ", Hits: -, " in scan.log[-1]
    scan = await scanner(spam=lambda _: b"garbage", posthouse_scan_spamd_down="defer")
    assert isinstance(await scan.take(mail()), Refused)


async def test_mail_larger_than_clamd_takes_is_unchecked_and_clamd_is_not_to_blame(scanner):
    scan = await scanner(virus=lambda _: b"INSTREAM size limit exceeded. ERROR\0", spam="")
    for _ in range(5):
        assert isinstance(await scan.take(mail()), Accepted)
    assert not any("rests" in line for line in scan.log)
    assert "Passed UNCHECKED" in scan.log[-1]


async def test_spamd_sees_the_beginning_of_large_mail(scanner):
    seen = []

    def note(data):
        seen.append(data)
        return spamd(data)

    scan = await scanner(spam=note, posthouse_scan_spam_size_limit="100")
    await scan.take(mail(b"\n" + b"x" * 1000))
    head, _, text = seen[0].partition(b"\r\n\r\n")
    assert b"Content-length: %d" % len(text) in head
    assert text.startswith(b"X-Amavis-MessageSize: %d, TRUNCATED to 100\nDate: x\n" % (len(HEADER) + 1001))
    assert b"X-Posthouse-Scan-Note: the first 100 of " in scan.hop.messages[0].content.header


async def test_banned_names_and_bad_headers_need_no_daemon(scanner):
    scan = await scanner(None, None, conf="$final_bad_header_destiny = D_REJECT;", posthouse_scan_banned_names=".exe")
    part = b"Content-Type: a/b; name=x.exe\n"
    assert "Ok, discarded" in (await scan.take(mail(header=HEADER + part))).said.text
    assert "Blocked BANNED (a/b,.asc,x.exe) {DiscardedInbound}" in scan.log[0]
    answer = await scan.take(mail(header=b"Subject: x\n"))
    assert (answer.status.dsn, answer.status.text.partition(" - ")[2]) == ("5.6.0", "BAD HEADER")
    assert "Blocked BAD-HEADER-0 {RejectedInbound}" in scan.log[1]


async def test_spam_is_not_asked_about_what_is_stopped_anyway(scanner):
    asked = []
    scan = await scanner(spam=lambda data: asked.append(data) or spamd(data), posthouse_scan_banned_names="text/plain")
    await scan.take(mail())
    assert asked == []


async def test_perl_that_is_not_understood_is_named_at_the_start(scanner):
    scan = await scanner(conf="$a = 1;\nif ($x) { $y = 1 }\n")
    assert "amavisd.conf, line 2: not understood, has no effect: if" in scan.log[0]


async def test_a_body_that_cannot_be_read_makes_the_mail_wait(scanner, tmp_path):
    scan = await scanner()
    answer = await scan.take(mail(FilePart(str(tmp_path / "gone"), 0, 10)))
    assert answer.status.is_temporary


async def test_whatever_daemons_and_next_hop_do_each_mail_has_one_fate(scanner):
    """Accepted is handed on, queued, bounced or ended by a rule; refused is nowhere (but in the quarantine)."""
    chance = random.Random(7)

    def fickle(good):
        def answer(data):
            return chance.choice([good(data), good(data), None, b"", b"garbage\0\xff", good(data)[:9]])

        return answer

    class Fickle(NextHop):
        async def deliver(self, request):
            if chance.random() < 0.1:
                return Report(())
            self.outcomes = {name: chance.choice([TAKEN, LATER, NEVER]) for name in ("info", "sales", "lover")}
            report = await super().deliver(request)
            done.update(
                request.targets[i].recipient.address for i, r in enumerate(report.results) if r.outcome is TAKEN
            )
            return report

    done = set()
    conf = "$final_spam_destiny = D_BOUNCE; @spam_lovers_maps = (['lover@example.org']); $sa_dsn_cutoff_level = 2000;"
    scan = await scanner(fickle(spamd), fickle(clamd), Fickle(), conf, posthouse_scan_rest_time="0s")
    for number in range(1000):
        done.clear()
        scan.front.kept.clear()
        scan.bounces.clear()
        text = (b"\nfine\n", b"\nGTUBE\n", b"\nEICAR\n")[number % 3]
        answer = await scan.take(mail(text, "info", "sales", "lover"))
        waiting = {
            r.address
            for message in scan.front.kept
            if message.envelope.content_filter
            for r in message.envelope.recipients
        }
        bounced = {name for name, _ in scan.bounces}
        if isinstance(answer, Refused):
            assert not done
            assert not waiting
            assert not bounced
        else:
            assert not (done & waiting or done & bounced or waiting & bounced)
            ended = (
                {r.address for r in mail(text, "info", "sales", "lover").envelope.recipients} - done - waiting - bounced
            )
            assert not ended or text == b"\nEICAR\n"
