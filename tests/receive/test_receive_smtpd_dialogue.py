from __future__ import annotations

import asyncio
import re

import pytest
from smtpd_scene import Scene

from posthouse.backstage.anvil import Anvil
from posthouse.mail.envelope import Notify
from posthouse.mail.status import Status
from posthouse.policy.verdict import Action, Effect, Note, Verdict
from posthouse.system.log import DaemonLog

GREETING = "S: 220 mail.example.com ESMTP Postfix\n"
EHLO = (
    GREETING
    + "C: EHLO client.test\nS: 250-mail.example.com\\n250-PIPELINING\\n250-SIZE 10240000\\n250-VRFY\\n250-ETRN\\n"
    "250-ENHANCEDSTATUSCODES\\n250-8BITMIME\\n250-DSN\\n250-SMTPUTF8\\n250 CHUNKING\n"
)
ENVELOPE = EHLO + "C: MAIL FROM:<a@b.test>\nS: 250 2.1.0 Ok\nC: RCPT TO:<x@example.org>\nS: 250 2.1.5 Ok\n"
TO_DATA = ENVELOPE + "C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\n"


async def test_a_message_is_taken_with_received_on_top(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.play(
            TO_DATA
            + "C: Subject: hi\nC: \nC: ..dot\nC: .\nS: 250 2.0.0 Ok: queued as Q1\nC: QUIT\nS: 221 2.0.0 Bye\nS: EOF"
        )
        assert re.fullmatch(
            rb"Received: from client.test \(unknown \[127.0.0.1\]\)\n\tby mail.example.com \(Postfix\) with ESMTP id Q1\n"
            rb"\tfor <x@example.org>; \w\w\w, \d+ \w\w\w \d\d\d\d \d\d:\d\d:\d\d [+-]\d\d\d\d \(\w+\)\nSubject: hi\n\n.dot\n",
            scene.content(),
        )
        envelope = scene.mail.envelope
        assert (envelope.sender, envelope.recipients[0].address) == ("a@b.test", "x@example.org")
        assert (envelope.origin.client_address, envelope.origin.helo_name) == ("127.0.0.1", "client.test")
        assert envelope.rewrite_context == "local"
        await scene.log("disconnect from unknown[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")
        assert scene.sink.lines[:2] == [
            "postfix/smtpd: connect from unknown[127.0.0.1]",
            "postfix/smtpd: Q1: client=unknown[127.0.0.1]",
        ]


async def test_pipelined_commands_are_answered_together(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.play(EHLO)
        client.raw(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<slow@example.org>\r\nRCPT TO:<x@example.org>\r\nDATA\r\n")
        replies = [await client.reply() for _ in range(4)]
        assert [reply[:3] for reply in replies] == ["250", "250", "250", "354"]
        client.raw(b"text\r\n.\r\nQUIT\r\n")
        assert await client.reply() == "250 2.0.0 Ok: queued as Q1"
        assert await client.reply() == "221 2.0.0 Bye"
        assert b"with ESMTP id Q1;\n\t" in scene.content()


async def test_who_speaks_before_its_turn_is_sent_away(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.reply()
        client.raw(b"EHLO a\r\nNOOP\r\n")
        assert await client.reply() == "554 5.5.0 Error: SMTP protocol synchronization"
        assert await client.reply() == "EOF"
        await scene.log("improper command pipelining after EHLO from unknown[127.0.0.1]: NOOP\\r\\n")
        await scene.log("disconnect from unknown[127.0.0.1] ehlo=0/1 commands=0/1")


async def test_policy_refuses_and_the_log_says_so(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.gate.verdicts = {
            "no@example.org": Verdict(Status("5.7.1", 554, "<no@example.org>: Recipient address rejected: no")),
            "bye@example.org": Verdict(Status("4.7.0", 421, "later"), closes=True),
        }
        client = await scene.client()
        await client.play(
            EHLO
            + """C: MAIL FROM:<>
            S: 250 2.1.0 Ok
            C: RCPT TO:<no@example.org>
            S: 554 5.7.1 <no@example.org>: Recipient address rejected: no
            C: DATA
            S: 554 5.5.1 Error: no valid recipients
            C: RCPT TO:<bye@example.org>
            S: 421 4.7.0 later
            S: EOF"""
        )
        await scene.log(
            "NOQUEUE: reject: RCPT from unknown[127.0.0.1]: 554 5.7.1 <no@example.org>: Recipient address rejected: no; "
            "from=<> to=<no@example.org> proto=ESMTP helo=<client.test>"
        )
        await scene.log("disconnect", "ehlo=1 mail=1 rcpt=0/2 data=0/1 commands=2/5")


async def test_access_actions_reach_cleanup(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.gate.verdicts["x@example.org"] = Verdict(
            actions=(
                Action(Effect.PREPEND, "X-Seen: yes"), Action(Effect.HOLD, "why"), Action(Effect.BCC, "bcc@example.org"),
                Action(Effect.FILTER, "smtp:[::1]"), Action(Effect.REDIRECT, "r@example.org"), Action(Effect.DISCARD, "gone"),
            ),
            notes=(Note("hold", "<x@example.org>: Recipient address triggers HOLD action"),),
        )  # fmt: skip
        client = await scene.client()
        await client.play(TO_DATA + "C: .\nS: 250 2.0.0 Ok: queued as Q1")
        assert scene.content().startswith(b"X-Seen: yes\nReceived: ")
        mail = scene.mail
        assert (mail.hold, mail.discard, mail.redirect, mail.extra_bcc) == (
            "why",
            "gone",
            "r@example.org",
            ("bcc@example.org",),
        )
        assert mail.envelope.content_filter == "smtp:[::1]"
        await scene.log(
            "NOQUEUE: hold: RCPT from unknown[127.0.0.1]: <x@example.org>: Recipient address triggers HOLD action; from"
        )


async def test_a_client_that_is_refused_at_once_may_only_quit(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.gate.verdicts["connect"] = Verdict(Status("5.7.1", 554, "<unknown[127.0.0.1]>: Client host rejected: no"))
        client = await scene.client()
        await client.play(
            """S: 554 5.7.1 <unknown[127.0.0.1]>: Client host rejected: no
            C: EHLO a
            S: 503 5.7.0 Error: access denied for unknown[127.0.0.1]
            C: QUIT
            S: 221 2.0.0 Bye"""
        )
        await scene.log("NOQUEUE: reject: CONNECT from unknown[127.0.0.1]: 554 5.7.1")


async def test_dsn_parameters_are_kept(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.play(
            EHLO
            + """C: MAIL FROM:<a@b.test> RET=hdrs ENVID=QQ+2BQQ SIZE=10 BODY=8bitmime
            S: 250 2.1.0 Ok
            C: RCPT TO:<x@example.org> NOTIFY=success,delay ORCPT=rfc822;x+40y
            S: 250 2.1.5 Ok
            C: BDAT 4 LAST
            C: hi"""
        )
        assert await client.reply() == "250 2.0.0 Ok: 4 bytes queued as Q1"
        envelope = scene.mail.envelope
        assert (envelope.ret, envelope.envid, envelope.encoding) == ("HDRS", "QQ+QQ", "8BITMIME")
        assert envelope.recipients[0].notify == Notify.SUCCESS | Notify.DELAY
        assert envelope.recipients[0].orcpt == "rfc822;x@y"


async def test_chunks_make_one_message_and_errors_swallow_theirs(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.play(EHLO)
        client.raw(b"BDAT 4\r\nabcd")
        assert await client.reply() == "503 5.5.1 Error: need RCPT command"
        client.raw(b"BDAT 6\r\nRSET\r\n")
        assert await client.reply() == "551 5.0.0 Discarded 6 bytes after earlier error"
        await client.play("C: RSET\nS: 250 2.0.0 Ok\n" + ENVELOPE.removeprefix(EHLO))
        client.raw(b"BDAT 5\r\nA: b\rBDAT 6\r\n\n\r\n.\r\n")
        assert await client.reply() == "250 2.0.0 Ok: 5 bytes"
        assert await client.reply() == "250 2.0.0 Ok: 6 bytes"
        await client.play(
            "C: DATA\nS: 503 5.5.1 Error: DATA after BDAT\nC: BDAT 0 LAST\nS: 250 2.0.0 Ok: 11 bytes queued as Q1"
        )
        assert scene.content().endswith(b"\nA: b\n\n.\n")


async def test_errors_end_the_session_and_slow_it_down(tmp_path):
    async with Scene(
        tmp_path, "smtpd_hard_error_limit=3\nsmtpd_soft_error_limit=2\nsmtpd_error_sleep_time=1s"
    ) as scene:
        client = await scene.client()
        await client.reply()
        started = asyncio.get_running_loop().time()
        assert await client.say("FOO") == "500 5.5.2 Error: command not recognized"
        assert await client.say("") == "500 5.5.2 Error: bad syntax"
        assert asyncio.get_running_loop().time() - started < 0.5
        assert await client.say("FOO") == "500 5.5.2 Error: command not recognized"
        assert asyncio.get_running_loop().time() - started > 0.9
        assert await client.reply() == "421 4.7.0 mail.example.com Error: too many errors"
        await scene.log("too many errors after UNKNOWN from unknown[127.0.0.1]")


async def test_silent_clients_are_timed_out(tmp_path):
    async with Scene(tmp_path, "smtpd_timeout=1s") as scene:
        client = await scene.client()
        await client.play(TO_DATA + "C: hi")
        assert await client.reply() == "421 4.4.2 mail.example.com Error: timeout exceeded"
        await scene.log("timeout after DATA (4 bytes) from unknown[127.0.0.1]")
        await scene.log("disconnect", "data=0/1 commands=3/4")


async def test_a_slow_trickle_of_one_command_does_not_prolong_the_time(tmp_path):
    async with Scene(tmp_path, "smtpd_timeout=1s") as scene:
        client = await scene.client()
        await client.reply()
        for _ in range(60):
            if any("timeout after CONNECT" in line for line in scene.sink.lines):
                return
            client.raw(b"x")
            await asyncio.sleep(0.05)
        raise AssertionError(scene.sink.lines)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "lost connection after CONNECT from"),
        (b"EHLO a\r\n", "lost connection after EHLO from"),
        (b"NOO", "lost connection after CONNECT from"),
    ],
)
async def test_clients_that_vanish_are_noted(tmp_path, data, line):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.reply()
        client.raw(data)
        await asyncio.sleep(0.05)
        client.vanish()
        await scene.log(line)
        await scene.log("disconnect from")
        assert scene.service.session_count == 0


async def test_a_message_under_way_is_taken_although_the_client_vanished(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.intake.gate = asyncio.Event()
        client = await scene.client()
        await client.play(TO_DATA)
        client.raw(b"hi\r\n.\r\n")
        await asyncio.sleep(0.05)
        client.vanish()
        await asyncio.sleep(0.05)
        scene.intake.gate.set()
        await scene.log("disconnect from")
        assert len(scene.intake.taken) == 1


async def test_what_goes_wrong_is_a_temporary_failure(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.intake.error = RuntimeError("boom")
        client = await scene.client()
        await client.play(TO_DATA + "C: .\nS: 451 4.3.0 Error: queue file write error\nC: QUIT\nS: 221 2.0.0 Bye")
        await scene.log("error: Q1: RuntimeError: boom")


async def test_what_cleanup_refuses_is_refused(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.intake.refusal = Status("5.7.1", 550, "not this")
        client = await scene.client()
        await client.play(TO_DATA + "C: .\nS: 550 5.7.1 not this\nC: MAIL FROM:<>\nS: 250 2.1.0 Ok")


async def test_messages_that_are_too_big_cost_nothing(tmp_path):
    async with Scene(tmp_path, "message_size_limit=100000") as scene:
        client = await scene.client()
        await client.play(ENVELOPE.replace("10240000", "100000") + "C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>")
        client.raw(b"x" * 90 + b"\r\n" + (b"y" * 998 + b"\r\n") * 3000 + b".\r\n")
        assert await client.reply() == "552 5.3.4 Error: message file too big"
        assert await client.say("MAIL FROM:<a@b.test> SIZE=100001") == "552 5.3.4 Message size exceeds fixed limit"
        await scene.log(
            "NOQUEUE: reject: MAIL from unknown[127.0.0.1]: 552 5.3.4 Message size exceeds fixed limit; from=<a@b.test>"
        )


async def test_large_messages_go_to_the_spool(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.play(TO_DATA)
        body = b"".join(b"%d line\r\n..\r\n" % number for number in range(200_000))
        client.raw(b"Subject: big\r\n\r\n" + body + b".\r\n")
        assert await client.reply() == "250 2.0.0 Ok: queued as Q1"
        content = scene.content()
        assert content.partition(b"\nSubject: big\n\n")[2] == body.replace(b"\r\n", b"\n").replace(b"\n..", b"\n.")
        assert scene.mail.content.body.path.startswith(f"{tmp_path}/posthouse/spool/")


@pytest.mark.parametrize(
    "garbage", [b"\0" * 5000 + b"\r\n", b"\xff\xfe\r\n", b"\r\r\r\n", b"A" * 10_000_000 + b"\r\n", b"\x16\x03\x01\r\n"]
)
async def test_garbage_is_answered_or_ends_the_session(tmp_path, garbage):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.reply()
        client.raw(garbage)
        assert await client.reply() in {
            "500 5.5.2 Error: command not recognized", "500 5.5.2 Error: bad syntax",
            "221 2.7.0 Error: I can break rules, too. Goodbye.",
        }  # fmt: skip


async def test_bare_newlines_are_refused_when_so_configured(tmp_path):
    async with Scene(tmp_path, "smtpd_forbid_bare_newline=reject") as scene:
        client = await scene.client()
        await client.play(TO_DATA)
        client.raw(b"a\nb\r\n.\r\n")
        assert await client.reply() == "550 5.5.2 mail.example.com Error: bare <LF> received"
        assert await client.reply() == "EOF"
        assert not scene.intake.taken


async def test_too_many_connections_of_one_client_are_refused(tmp_path):
    anvil = Anvil(DaemonLog("postfix/anvil", Scene(tmp_path).sink))
    async with Scene(
        tmp_path, "smtpd_client_connection_count_limit=1\nsmtpd_client_message_rate_limit=1", anvil=anvil
    ) as scene:
        first, second = await scene.client(), await scene.client()
        assert await first.reply() == "220 mail.example.com ESMTP Postfix"
        assert await second.reply() == "421 4.7.0 mail.example.com Error: too many connections from 127.0.0.1"
        await scene.log("warning: Connection concurrency limit exceeded: 2 from unknown[127.0.0.1] for service smtp")
        await first.say("HELO a")
        assert await first.say("MAIL FROM:<>") == "250 2.1.0 Ok"
        assert await first.say("RSET") == "250 2.0.0 Ok"
        assert await first.say("MAIL FROM:<>") == "450 4.7.1 Error: too much mail from 127.0.0.1"


async def test_sessions_have_numbers_of_their_own_in_the_log(tmp_path):
    async with Scene(tmp_path) as scene:
        clients = [await scene.client() for _ in range(3)]
        for client in clients:
            await client.reply()
        numbers = {session.log.process_id for session in scene.service._sessions}
        assert len(numbers) == 3
        assert {4194305, 4194306} < numbers


async def test_closing_lets_sessions_finish_and_then_says_421(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.reply()
        await scene.service.close(grace=0.1)
        assert await client.reply() == "421 4.3.2 mail.example.com Service shutting down and closing connection"
        assert await client.reply() == "EOF"


async def test_etrn_asks_the_queue(tmp_path):
    flushed = []

    async def flush(domain):
        flushed.append(domain)

    async with Scene(tmp_path, "relay_domains=example.net", flush=flush) as scene:
        client = await scene.client()
        await client.reply()
        assert await client.say("ETRN example.net") == "250 Queuing started"
        assert await client.say("ETRN other.test") == "459 <other.test>: service unavailable"
        assert flushed == ["example.net"]


async def test_xforward_tells_the_origin(tmp_path):
    async with Scene(tmp_path, "smtpd_authorized_xforward_hosts=127.0.0.1") as scene:
        client = await scene.client()
        await client.reply()
        await client.play(
            """C: XFORWARD NAME=spike.test ADDR=1.2.3.4 PROTO=ESMTP HELO=hello IDENT=ABC
            S: 250 2.0.0 Ok
            C: MAIL FROM:<>
            S: 250 2.1.0 Ok
            C: RCPT TO:<x@example.org>
            S: 250 2.1.5 Ok
            C: DATA
            S: 354 End data with <CR><LF>.<CR><LF>
            C: .
            S: 250 2.0.0 Ok: queued as Q1"""
        )
        origin = scene.mail.envelope.origin
        assert (origin.client_name, origin.client_address, origin.identifier) == ("spike.test", "1.2.3.4", "ABC")
        await scene.log("Q1: client=unknown[127.0.0.1], orig_queue_id=ABC, orig_client=spike.test[1.2.3.4]")


@pytest.mark.parametrize(("footer", "reply"), [
    ("\\c. Call $server_name", "500 5.5.2 Error: command not recognized. Call mail.example.com"),
    ("one\\ntwo", "500-5.5.2 Error: command not recognized\n500-5.5.2 one\n500 5.5.2 two"),
])  # fmt: skip
async def test_refusals_carry_the_footer(tmp_path, footer, reply):
    async with Scene(tmp_path, f"smtpd_reject_footer={footer}") as scene:
        client = await scene.client()
        await client.reply()
        assert await client.say("FOO") == reply


async def test_the_postmaster_hears_of_policy_errors_when_asked_to(tmp_path):
    async with Scene(tmp_path, "notify_classes=policy\nerror_notice_recipient=ops") as scene:
        scene.gate.verdicts["no@example.org"] = Verdict(Status("5.7.1", 554, "no"))
        client = await scene.client()
        await client.play(
            EHLO
            + "C: MAIL FROM:<>\nS: 250 2.1.0 Ok\nC: RCPT TO:<no@example.org>\nS: 554 5.7.1 no\nC: QUIT\nS: 221 2.0.0 Bye"
        )
        await scene.log("disconnect from")
        await asyncio.sleep(0.05)
        assert scene.mail.envelope.recipients[0].address == "ops"
        text = scene.content().decode()
        assert (
            "Subject: Postfix SMTP server: errors from unknown[127.0.0.1]\n\nTranscript of session follows.\n\n Out: 220 "
            in text
        )
        assert text.endswith(
            " In:  RCPT TO:<no@example.org>\n Out: 554 5.7.1 no\n In:  QUIT\n Out: 221 2.0.0 Bye\n\n\n"
            "For other details, see the local mail logfile\n"
        )


async def test_who_sends_all_and_shuts_its_side_is_answered_and_then_let_go(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.play(EHLO + "C: MAIL FROM:<a@b.test>\nS: 250 2.1.0 Ok")
        client.raw(b"RCPT TO:<slow@example.org>\r\n")
        client.writer.write_eof()
        assert await client.reply() == "250 2.1.5 Ok"
        assert await client.reply() == "EOF"
        await scene.log("lost connection after RCPT from")
        await scene.log("disconnect from")


async def test_words_that_do_nothing_are_not_counted_and_open_brackets_are_no_address(tmp_path):
    async with Scene(tmp_path, "smtpd_noop_commands = PING\nsmtpd_helo_required = yes\n") as scene:
        client = await scene.client()
        await client.play(
            GREETING + "C: PING\nS: 250 2.0.0 Ok\nC: VRFY <x@example.org>\nS: 252 2.0.0 <x@example.org>\n"
            "C: XCLIENT\nS: 501 5.5.4 Syntax: XCLIENT attribute=value...\n"
            "C: XFORWARD\nS: 501 5.5.4 Syntax: XFORWARD attribute=value...\nC: HELO x\nS: 250 mail.example.com\n"
            "C: MAIL FROM:<a@b.test\nS: 501 5.1.7 Bad sender address syntax\n"
            "C: MAIL FROM:<a@b.test>SIZE=5\nS: 501 5.1.7 Bad sender address syntax\n"
            "C: QUIT\nS: 221 2.0.0 Bye\nS: EOF"
        )
        await scene.log("Illegal address syntax from unknown[127.0.0.1] in MAIL command: <a@b.test>SIZE=5")
        assert not any("command: <a@b.test\n" in f"{line}\n" for line in scene.sink.lines)
        await scene.log("helo=1 xclient=0/1 xforward=0/1 mail=0/2 vrfy=1 quit=1 commands=3/7")


async def test_a_single_recipient_is_known_to_the_restrictions_after_it(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await scene.client()
        await client.play(TO_DATA + "C: text\nC: .\nS: 250 2.0.0 Ok: queued as Q1\n")
        assert scene.gate.seen_recipients == {"data": "x@example.org", "end_of_data": "x@example.org"}


async def test_long_lines_of_a_transcript_are_wrapped(tmp_path):
    async with Scene(tmp_path, "notify_classes=protocol\nerror_notice_recipient=ops") as scene:
        client = await scene.client()
        long = "word " * 20
        await client.play(
            f"{GREETING}C: BAD {long}\nS: 500 5.5.2 Error: command not recognized\nC: QUIT\nS: 221 2.0.0 Bye\nS: EOF"
        )
        await scene.log("disconnect from")
        for _ in range(300):
            if scene.intake.taken:
                break
            await asyncio.sleep(0.01)
        lines = scene.content().decode().split("\n")
        assert f" In:  BAD {'word ' * 13}word" in lines
        assert f"     {'word ' * 5}word" in lines
