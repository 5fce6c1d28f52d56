"""LMTP, which a scan service speaks, too: an answer for each recipient (RFC 2033)."""

from __future__ import annotations

from smtpd_scene import Scene

from posthouse.mail.status import Status
from posthouse.receive.smtpd.verbs import all_verbs
from posthouse.services.intake import Accepted

GREETING = "S: 220 mail.example.com ESMTP Postfix\n"
LHLO = (
    GREETING
    + "C: LHLO client.test\nS: 250-mail.example.com\\n250-PIPELINING\\n250-SIZE 10240000\\n250-VRFY\\n250-ETRN\\n"
    "250-ENHANCEDSTATUSCODES\\n250-8BITMIME\\n250-DSN\\n250-SMTPUTF8\\n250 CHUNKING\n"
)
TO_DATA = (
    "C: MAIL FROM:<a@b.test>\nS: 250 2.1.0 Ok\nC: RCPT TO:<x@example.org>\nS: 250 2.1.5 Ok\n"
    "C: RCPT TO:<y@example.org>\nS: 250 2.1.5 Ok\nC: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\nC: Subject: hi\nC: .\n"
)


async def test_a_mail_server_does_not_know_it(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.play(f"{GREETING}C: LHLO client.test\nS: 500 5.5.2 Error: command not recognized")


async def test_each_recipient_has_a_reply(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.service.verbs = all_verbs()
        statuses = (Status("2.0.0", 250, "Ok"), Status("5.7.0", 0, "spam"))

        async def take(submission):
            scene.intake.taken.append(submission)
            return Accepted("Q1", statuses=statuses)

        scene.intake.take = take
        client = await scene.client()
        await client.play(f"{GREETING}C: LHLO\nS: 501 Syntax: LHLO hostname")
        client = await scene.client()
        await client.play(f"{LHLO}{TO_DATA}S: 250 2.0.0 Ok\nS: 554 5.7.0 spam\nC: QUIT\nS: 221 2.0.0 Bye")
        assert scene.mail.by_recipient
        assert b"with LMTP id" in scene.content()


async def test_what_holds_for_all_is_said_for_each(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.service.verbs = all_verbs()
        client = await scene.client()
        scene.intake.refusal = Status("4.7.1", 451, "later")
        await client.play(f"{LHLO}{TO_DATA}S: 451 4.7.1 later\nS: 451 4.7.1 later")
        scene.intake.refusal = None
        await client.play(
            f"{TO_DATA}S: 250 2.0.0 Ok: queued as Q2\nS: 250 2.0.0 Ok: queued as Q2\nC: NOOP\nS: 250 2.0.0 Ok"
        )


async def test_an_intake_may_have_words_of_its_own(tmp_path):
    async with Scene(tmp_path) as scene:

        async def take(_):
            return Accepted("Q1", Status("2.5.0", 250, "Ok, id=1, BOUNCE"))

        scene.intake.take = take
        client = await scene.client()
        await client.play(f"{LHLO.replace('LHLO', 'EHLO')}{TO_DATA}S: 250 2.5.0 Ok, id=1, BOUNCE")
