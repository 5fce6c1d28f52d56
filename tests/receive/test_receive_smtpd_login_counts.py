"""How much mail one login may send, from wherever it comes."""

from __future__ import annotations

import contextlib

import pytest
from smtpd_scene import Scene

from auth_servers import FakeDovecot
from posthouse.backstage.anvil import Anvil
from posthouse.policy.verdict import Action, Effect, Verdict

SASL = "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = auth\n"
GOOD = "AGpvZQBzZWNyZXQ="
MESSAGES = "posthouse_sasl_login_message_rate_limit = 2\n"
RECIPIENTS = "posthouse_sasl_login_recipient_rate_limit = 3\n"
DEFER = "posthouse_sasl_login_rate_action = defer\n"


@contextlib.asynccontextmanager
async def counting(tmp_path, main_cf, anvil=None):
    async with FakeDovecot(tmp_path / "auth"), Scene(tmp_path, SASL + main_cf) as scene:
        scene.house.anvil = anvil or Anvil(scene.service.log)
        yield scene


async def logged_in(scene):
    client = await scene.client()
    await client.reply()
    await client.say("EHLO client.test")
    assert (await client.say(f"AUTH PLAIN {GOOD}")).startswith("235")
    return client


async def send(client, *recipients):
    assert (await client.say("MAIL FROM:<joe@example.org>")).startswith("250")
    for recipient in recipients or ("x@example.org",):
        assert (await client.say(f"RCPT TO:<{recipient}>")).startswith("250")
    assert (await client.say("DATA")).startswith("354")
    assert (await client.say("Subject: x\r\n\r\ntext\r\n.")).startswith("250 2.0.0 Ok: queued")


async def test_messages_beyond_the_limit_are_taken_and_held(tmp_path):
    async with counting(tmp_path, MESSAGES) as scene:
        client = await logged_in(scene)
        for _ in range(3):
            await send(client)
        assert [mail.hold is not None for mail in scene.intake.taken] == [False, False, True]
        about = (
            "Q3: hold: END-OF-MESSAGE from unknown[127.0.0.1]: <joe>: SASL login name exceeds its message rate limit"
        )
        await scene.log(f"{about}: 3/60s; from=<joe@example.org> proto=ESMTP helo=<client.test>")


async def test_sessions_and_services_share_a_logins_count(tmp_path):
    async with counting(tmp_path, MESSAGES) as scene:
        anvil = scene.house.anvil
        await send(await logged_in(scene))
        await send(await logged_in(scene))
    (tmp_path / "other").mkdir()
    async with counting(tmp_path / "other", MESSAGES, anvil) as scene:
        await send(await logged_in(scene))
        assert scene.mail.hold is not None


async def test_recipients_beyond_the_limit_hold_their_message(tmp_path):
    async with counting(tmp_path, RECIPIENTS) as scene:
        client = await logged_in(scene)
        await send(client, "a@example.org", "b@example.org")
        await send(client, "c@example.org", "d@example.org", "e@example.org")
        assert [mail.hold is not None for mail in scene.intake.taken] == [False, True]
        assert len(scene.mail.envelope.recipients) == 3
        await scene.log("exceeds its recipient rate limit: 4/60s")


async def test_or_it_is_refused_for_now(tmp_path):
    async with counting(tmp_path, MESSAGES + RECIPIENTS + DEFER) as scene:
        client = await logged_in(scene)
        await send(client, "a@example.org")
        assert (await client.say("MAIL FROM:<joe@example.org>")).startswith("250")
        assert (await client.say("RCPT TO:<b@example.org>")).startswith("250")
        assert (await client.say("RCPT TO:<c@example.org>")).startswith("250")
        text = "450 4.7.1 <joe>: Error: too many recipients from this login"
        assert await client.say("RCPT TO:<d@example.org>") == text
        await client.say("RSET")
        assert await client.say("MAIL FROM:<a@b.test>") == "450 4.7.1 <joe>: Error: too much mail from this login"
        assert await client.say("RCPT TO:<d@example.org>") == "503 5.5.1 Error: need MAIL command"
        await scene.log("warning: unknown[127.0.0.1]: <joe>: SASL login name exceeds its message rate limit: 3/60s")


async def test_with_a_filter_before_the_queue_mail_is_deferred(tmp_path):
    async with counting(tmp_path, f"{MESSAGES}smtpd_proxy_filter = 127.0.0.1:9\n") as scene:
        client = await logged_in(scene)
        for reply in ("250", "250", "450"):
            assert (await client.say("MAIL FROM:<joe@example.org>")).startswith(reply)
            await client.say("RSET")


async def test_a_new_time_unit_begins_a_new_count(tmp_path):
    now = [1000.0]
    async with counting(tmp_path, MESSAGES) as scene:
        scene.house.anvil = Anvil(scene.service.log, now=lambda: now[0])
        client = await logged_in(scene)
        for pause in (0, 0, 61):
            now[0] += pause
            await send(client)
        assert all(mail.hold is None for mail in scene.intake.taken)


@pytest.mark.parametrize("main_cf", ["", f"{MESSAGES}posthouse_sasl_login_rate_exceptions = news, JOE\n"])
async def test_without_a_limit_and_for_exceptions_nothing_is_counted(tmp_path, main_cf):
    async with counting(tmp_path, main_cf) as scene:
        scene.house.anvil.message = scene.house.anvil.recipient = None  # asking would fail
        client = await logged_in(scene)
        for _ in range(4):
            await send(client)
        assert all(mail.hold is None for mail in scene.intake.taken)


async def test_who_has_not_logged_in_has_no_limit(tmp_path):
    async with counting(tmp_path, MESSAGES) as scene:
        client = await scene.client()
        await client.reply()
        await client.say("EHLO client.test")
        for _ in range(4):
            await send(client)
        assert all(mail.hold is None for mail in scene.intake.taken)


async def test_what_an_access_table_holds_stays_held(tmp_path):
    async with counting(tmp_path, MESSAGES) as scene:
        scene.gate.verdicts["rcpt"] = Verdict(actions=(Action(Effect.HOLD, "to be looked at"),))
        client = await logged_in(scene)
        for _ in range(3):
            await send(client)
        assert [mail.hold for mail in scene.intake.taken] == ["to be looked at"] * 3
