from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import shutil
import subprocess

import pytest
from smtpd_scene import Scene

from auth_servers import FakeDovecot
from posthouse.backstage.anvil import Anvil
from posthouse.protocols.sasl_client import ScramSha256
from posthouse.receive.smtpd import logins
from posthouse.sasl.password_hash import hash_password

SASL = "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = auth\n"
GOOD, BAD = "AGpvZQBzZWNyZXQ=", "AGpvZQB3cm9uZw=="
HOST = "unknown[127.0.0.1]"


@contextlib.asynccontextmanager
async def beside_dovecot(tmp_path, main_cf="", **house):
    async with FakeDovecot(tmp_path / "auth") as dovecot, Scene(tmp_path, SASL + main_cf, **house) as scene:
        scene.dovecot = dovecot
        yield scene


async def greeted(scene):
    client = await scene.client()
    await client.reply()
    client.keywords = [line[4:] for line in (await client.say("EHLO client.test")).split("\n")]
    return client


async def test_a_login_shows_in_the_log_the_envelope_and_received(tmp_path):
    async with beside_dovecot(tmp_path, "smtpd_sasl_authenticated_header = yes\n") as scene:
        client = await greeted(scene)
        assert "AUTH PLAIN LOGIN" in client.keywords
        await client.play(f"""
            C: AUTH PLAIN {GOOD}
            S: 235 2.7.0 Authentication successful
            C: MAIL FROM:<joe@example.org> AUTH=joe@example.org
            S: 250 2.1.0 Ok
            C: RCPT TO:<x@example.org>
            S: 250 2.1.5 Ok
            C: DATA
            S: 354 End data with <CR><LF>.<CR><LF>
            C: .
            S: 250 2.0.0 Ok: queued as Q1
            C: QUIT
            S: 221 2.0.0 Bye
        """)
        await scene.log(f"Q1: client={HOST}, sasl_method=PLAIN, sasl_username=joe, sasl_sender=joe@example.org")
        await scene.log(f"disconnect from {HOST} ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6")
        origin = scene.mail.envelope.origin
        assert (origin.sasl_method, origin.sasl_username, origin.sasl_sender) == ("PLAIN", "joe", "joe@example.org")
        assert (
            b"\n\t(Authenticated sender: joe)\n\tby mail.example.com (Postfix) with ESMTPA id Q1\n" in scene.content()
        )


async def test_auth_in_all_its_wrong_forms(tmp_path):
    async with beside_dovecot(tmp_path) as scene:
        client = await greeted(scene)
        failed = "S: 535 5.7.8 Error: authentication failed:"
        await client.play(f"""
            C: AUTH
            S: 501 5.5.4 Syntax: AUTH mechanism
            C: AUTH PLAIN a b
            S: 501 5.5.4 Syntax: AUTH mechanism
            C: AUTH PLAIN ***
            {failed} Invalid base64 data in initial response
            C: AUTH CRAM-MD5
            {failed} Invalid authentication mechanism
            C: AUTH ANONYMOUS
            {failed} Invalid authentication mechanism
            C: AUTH PLAIN {BAD}
            {failed} not so
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: *
            S: 501 5.7.0 Authentication aborted
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: ...
            {failed} Invalid base64 data in continued response
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: =
            S: 334 UGFzc3dvcmQ6
            C: =
            {failed} not so
            C: MAIL FROM:<a@b.test>
            S: 250 2.1.0 Ok
            C: AUTH PLAIN {GOOD}
            S: 503 5.5.1 Error: MAIL transaction in progress
            C: RSET
            S: 250 2.0.0 Ok
            C: AUTH login
            S: 334 VXNlcm5hbWU6
            C: am9l
            S: 334 UGFzc3dvcmQ6
            C: c2VjcmV0
            S: 235 2.7.0 Authentication successful
            C: AUTH PLAIN {GOOD}
            S: 503 5.5.1 Error: already authenticated
            C: QUIT
            S: 221 2.0.0 Bye
        """)
        warning = f"warning: {HOST}: SASL"
        await scene.log(f"{warning} PLAIN authentication failed: not so, sasl_username=joe")
        await scene.log(
            f"{warning} CRAM-MD5 authentication failed: Invalid authentication mechanism, sasl_username=(unavailable)"
        )
        await scene.log(f"{warning} LOGIN authentication aborted")
        await scene.log(" auth=1/12 ")


async def test_where_logins_are_not_enabled(tmp_path):
    async with Scene(tmp_path) as scene:
        client = await greeted(scene)
        assert not any(word.startswith("AUTH") for word in client.keywords)
        assert await client.say(f"AUTH PLAIN {GOOD}") == "503 5.5.1 Error: authentication not enabled"


@pytest.mark.parametrize(
    ("main_cf", "keywords"),
    [
        ("broken_sasl_auth_clients = yes\n", ["AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN"]),
        ("smtpd_sasl_security_options =\n", ["AUTH PLAIN LOGIN ANONYMOUS"]),
        ("smtpd_sasl_security_options = noplaintext\n", ["AUTH ANONYMOUS"]),
        ("smtpd_sasl_security_options = noplaintext, noanonymous\n", []),
        ("smtpd_sasl_security_options = noanonymous, mutual_auth\n", []),
        ("smtpd_sasl_mechanism_filter = !login, static:all\n", ["AUTH PLAIN"]),
        ("smtpd_sasl_exceptions_networks = !127.0.0.2, 127.0.0.0/8\n", []),
        ("smtpd_discard_ehlo_keywords = auth\n", []),
        ("smtpd_tls_auth_only = yes\n", []),
    ],
)
async def test_what_is_offered(tmp_path, main_cf, keywords):
    async with beside_dovecot(tmp_path, main_cf) as scene:
        client = await greeted(scene)
        assert [word for word in client.keywords if word.startswith("AUTH")] == keywords


async def test_clients_to_whom_it_is_not_offered_may_log_in_all_the_same(tmp_path):
    async with beside_dovecot(tmp_path, "smtpd_sasl_exceptions_networks = 127.0.0.0/8\n") as scene:
        client = await greeted(scene)
        assert (await client.say(f"AUTH PLAIN {GOOD}")).startswith("235")


async def test_without_an_auth_server_mail_goes_on_and_logins_wait(tmp_path):
    async with Scene(tmp_path, SASL) as scene:
        client = await greeted(scene)
        assert not any(word.startswith("AUTH") for word in client.keywords)
        text = "Temporary authentication failure: Connection lost to authentication server"
        assert await client.say(f"AUTH PLAIN {GOOD}") == f"454 4.7.0 {text}"
        assert (await client.say("MAIL FROM:<a@b.test>")).startswith("250")
        await scene.log("Connect to Dovecot auth socket 'auth' failed: No such file or directory")


async def test_answers_that_are_too_long_are_read_and_refused(tmp_path):
    async with beside_dovecot(tmp_path) as scene:
        client = await greeted(scene)
        assert await client.say("AUTH PLAIN") == "334 "
        assert await client.say("A" * 100_000) == "500 5.5.6 SASL response limit exceeded"
        assert await client.say("NOOP") == "250 2.0.0 Ok"


async def test_a_client_that_leaves_in_the_middle(tmp_path):
    async with beside_dovecot(tmp_path) as scene:
        client = await greeted(scene)
        assert await client.say("AUTH PLAIN") == "334 "
        client.vanish()
        await scene.log(f"lost connection after AUTH from {HOST}")
        await scene.log("ehlo=1 auth=0/1 commands=1/2")


async def test_too_many_logins_in_a_minute(tmp_path):
    async with beside_dovecot(tmp_path, "smtpd_client_auth_rate_limit = 1\n") as scene:
        scene.house.anvil = Anvil(scene.service.log)
        client = await greeted(scene)
        assert (await client.say(f"AUTH PLAIN {BAD}")).startswith("535")
        assert await client.say(f"AUTH PLAIN {GOOD}") == "450 4.7.1 Error: too many AUTH commands from 127.0.0.1"
        await scene.log(f"AUTH command rate limit exceeded: 2 from {HOST} for service smtp")


async def test_guessing_gets_slower(tmp_path):
    async with beside_dovecot(tmp_path) as scene:
        client = await greeted(scene)
        session = next(iter(scene.service._sessions))
        delays = [scene.service.logins.delay_after_failure(session) for _ in range(12)]
        assert delays == [0, 0, 0, 0.5, 1, 2, 4, 8, 15, 15, 15, 15]
        await client.say(f"AUTH PLAIN {GOOD}")
        assert scene.service.logins.delay_after_failure(session) == 0


async def test_no_password_gets_into_the_log_or_the_postmasters_transcript(tmp_path):
    more = "notify_classes = protocol, policy, resource, software\nsmtpd_forbid_unauth_pipelining = no\nline_length_limit = 512\n"
    async with beside_dovecot(tmp_path, more) as scene:
        client = await scene.client()
        await client.reply()
        for words in (f"EHLO x\r\nAUTH PLAIN {BAD}\r\n", f"AUTH LOGIN\r\nc2VjcmV0bmFtZQ==\r\n{BAD}\r\n"):
            client.raw(words.encode())
        for _ in range(5):
            await client.reply()
        client.raw(f"AUTH PLAIN {'c2VjcmV0' * 90}\r\nQUIT\r\n".encode())
        while "EOF" not in await client.reply():
            pass
        await scene.log("disconnect from")
        everything = "\n".join(scene.sink.lines) + "".join(str(submission.content) for submission in scene.intake.taken)
        assert "Transcript of session" in everything or scene.intake.taken
        for secret in (BAD, "c2VjcmV0", "wrong"):
            assert secret not in everything


async def test_scram_over_smtp(tmp_path):
    (tmp_path / "logins").write_text(f"joe:{hash_password('secret', 'SCRAM-SHA-256')}\n")
    main_cf = f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = posthouse\nsmtpd_sasl_path = {tmp_path}/logins\n"
    async with Scene(tmp_path, main_cf) as scene:
        client = await greeted(scene)
        assert "AUTH SCRAM-SHA-256 PLAIN LOGIN" in client.keywords  # -PLUS needs TLS
        scram = ScramSha256("joe", "secret", lambda: "fresh")
        reply = await client.say(f"AUTH SCRAM-SHA-256 {base64.b64encode(scram.initial()).decode()}")
        while reply.startswith("334 "):
            answer = scram.answer(base64.b64decode(reply[4:]))
            reply = await client.say(base64.b64encode(answer).decode())
        assert reply.startswith("235")


async def test_an_auth_server_that_goes_away_in_the_middle_is_no_wrong_password(tmp_path):
    async with beside_dovecot(tmp_path) as scene:
        client = await greeted(scene)
        assert (await client.say("AUTH LOGIN")).startswith("334")
        scene.dovecot.break_off()
        text = "Temporary authentication failure: Connection lost to authentication server"
        assert await client.say("am9l") == f"454 4.7.0 {text}"
        assert (await client.say(f"AUTH PLAIN {GOOD}")).startswith("235")
        # fail2ban's stock filter leaves exactly these words alone
        warning = f"warning: {HOST}: SASL LOGIN authentication failed: Connection lost to authentication server"
        await scene.log(f"{warning}, sasl_username=(unavailable)")


async def test_the_log_says_why_nobody_could_check_a_password(tmp_path):
    (tmp_path / "logins").write_text("joe:{ROT13}frperg\n")
    main_cf = f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = posthouse\nsmtpd_sasl_path = {tmp_path}/logins\n"
    async with Scene(tmp_path, main_cf) as scene:
        client = await greeted(scene)
        assert (await client.say(f"AUTH PLAIN {GOOD}")).startswith("454 4.7.0")
        await scene.log(f"warning: {HOST}: SASL PLAIN: SASL: the stored password of joe: unknown password scheme ROT13")


async def test_a_replaced_command_shows_no_password(tmp_path):
    (tmp_path / "commands").write_text("/^AUTH PLAIN/ NOOP\n")
    async with beside_dovecot(tmp_path, f"smtpd_command_filter = regexp:{tmp_path}/commands\n") as scene:
        client = await greeted(scene)
        assert await client.say(f"AUTH PLAIN {GOOD}") == "250 2.0.0 Ok"
        await scene.log('replacing command "AUTH PLAIN [...]" with "NOOP"')


@pytest.mark.skipif(not shutil.which("fail2ban-regex"), reason="needs fail2ban")
@pytest.mark.parametrize(("mode", "matched"), [("auth", 2), ("aggressive", 4)])
async def test_the_stock_filter_of_fail2ban_reads_our_lines(tmp_path, mode, matched):
    async with beside_dovecot(tmp_path) as scene:
        client = await greeted(scene)
        await client.say(f"AUTH PLAIN {BAD}")
        await client.say("AUTH LOGIN")
        await client.say("am9l")
        await client.say("d3Jvbmc=")
        await client.say("AUTH CRAM-MD5")  # not offered: aggressive mode alone minds
        scene.dovecot.silent = True
        await client.say("QUIT")
        other = await greeted(scene)  # whose password nobody can check: no reason to shut him out
        pending = asyncio.ensure_future(other.say(f"AUTH PLAIN {GOOD}"))
        while not pending.done():  # it is asked more than once
            scene.dovecot.break_off()
            await asyncio.sleep(0.02)
        assert (await pending).startswith("454")
        await scene.log("Connection lost to authentication server")
        await other.say("QUIT")
        await scene.log("disconnect from", count=2)
    lines = [f"Nov 22 10:00:00 mail {line}" for line in scene.sink.lines]
    lines = [line for line in lines if "auth=0/1 " not in line]  # aggressive mode minds any login that came to nothing
    (tmp_path / "maillog").write_text("".join(f"{line}\n" for line in lines))
    command = ["fail2ban-regex", str(tmp_path / "maillog"), f"postfix[mode={mode}]"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"Failregex: (\d+) total", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert int(found[1]) == matched, done.stdout


async def test_a_password_that_comes_after_auth_was_refused_is_not_shown(tmp_path):
    async with beside_dovecot(tmp_path, "notify_classes = protocol\n") as scene:
        client = await greeted(scene)
        assert (await client.say("AUTH CRAM-MD5")).startswith("535")
        assert (await client.say("am9l")).startswith("500")
        assert (await client.say("4oKsdXJv")).startswith("221")  # looks like no command at all
        await scene.log("non-SMTP command from", "[...]")
        await scene.log("disconnect from")
        while not scene.intake.taken:
            await asyncio.sleep(0.01)
        everything = "\n".join(scene.sink.lines) + scene.content().decode()
        assert "In:  [...]" in everything
        for secret in ("am9l", "4oKsdXJv"):
            assert secret not in everything


@pytest.mark.parametrize(
    "line", ["AGpvZQBzZWNyZXQ", "AGpvZQBzZWNyZXQ==", "AGpv ZQBzZWNyZXQ=", "AGpvZQBzZWNyZXQ*", "é==="]
)
async def test_broken_base64_is_no_password(tmp_path, line):
    async with beside_dovecot(tmp_path) as scene:
        client = await greeted(scene)
        await client.say("AUTH PLAIN")
        assert (await client.say(line)).endswith("Invalid base64 data in continued response")
        assert (await client.say(f"AUTH PLAIN {GOOD}")).startswith("235")


async def test_many_other_guessers_do_not_make_one_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(logins, "MOST_REMEMBERED", 10)
    async with beside_dovecot(tmp_path) as scene:
        await greeted(scene)
        session = next(iter(scene.service._sessions))

        def fail(address):
            session.request.client_address = address
            return scene.service.logins.delay_after_failure(session)

        delays = []
        for number in range(40):
            delays.append(fail("203.0.113.7"))
            fail(f"2001:db8:{number:x}::1")
        assert delays[3:10] == [0.5, 1, 2, 4, 8, 15, 15]
        assert fail("2001:db8:27::ffff") == fail("2001:db8:27::abcd") == 0  # a site's network is one
        assert fail("2001:db8:27::2") == 0.5
        assert len(scene.service.logins._failures) == 10


async def test_one_client_does_not_keep_others_waiting_with_many_logins_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(logins, "MOST_AT_ONCE", 10)
    async with beside_dovecot(tmp_path) as scene:
        scene.dovecot.silent = True
        clients = [await greeted(scene) for _ in range(logins.MOST_AT_ONCE + 1)]
        replies = [asyncio.ensure_future(client.say(f"AUTH PLAIN {GOOD}")) for client in clients[:-1]]
        while sum(line.startswith("AUTH") for line in scene.dovecot.lines) < logins.MOST_AT_ONCE:
            await asyncio.sleep(0.01)
        assert (await clients[-1].say(f"AUTH PLAIN {GOOD}")).startswith("454 4.7.0")
        await scene.log(f"{HOST}: SASL PLAIN: 10 logins of this client are being checked already")
        while not all(reply.done() for reply in replies):
            scene.dovecot.break_off()
            await asyncio.sleep(0.02)
        assert all(reply.startswith("454") for reply in await asyncio.gather(*replies))
        scene.dovecot.silent = False
        assert (await clients[-1].say(f"AUTH PLAIN {GOOD}")).startswith("235")
        assert scene.service.logins._under_way == {}
