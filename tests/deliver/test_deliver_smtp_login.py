"""Logging in at another server: which password it is shown, and what is said of it when that fails."""

from __future__ import annotations

import asyncio
import base64
import contextlib

import pytest

from posthouse.config.settings import from_text
from posthouse.deliver.smtp.connection import connect
from posthouse.deliver.smtp.login import SaslClient, without_secret
from posthouse.deliver.smtp.peer import Peer
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.protocols.smtp_client import Features, ServerReply
from posthouse.system.log import DaemonLog, MemorySink

PASSWORDS = """smtp_sasl_password_maps = inline:{
 {mx.good.test = host:pass-word} {[mx.good.test]:587 = hop:pass-word} {ann@example.com = ann:pass-word}
 {@shop.test = shop:pass-word} }
smtp_sasl_auth_enable = yes
smtp_sasl_security_options = noanonymous
recipient_delimiter = +
"""


@contextlib.asynccontextmanager
async def server_that_says(*lines):
    """Each line from the client is answered with the next reply; after the last one the connection ends."""
    replies = [line + b"\r\n" if line else b"" for line in lines]
    heard: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader, writer):
        try:
            for reply in replies:
                heard.append((await reader.readline()).rstrip())
                writer.write(reply)
            await reader.readline()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    peer = Peer("mx.good.test", "127.0.0.1", server.sockets[0].getsockname()[1])
    connection = await connect(peer, 10)
    connection.features = Features(name="mx.good.test", keywords={"AUTH"}, auth=["PLAIN"])
    try:
        yield connection, heard
    finally:
        connection.abort()
        await asyncio.wait_for(ended.wait(), 10)
        server.close()
        await server.wait_closed()


async def log_in(connection, more="", sender="", next_hop="good.test", prefix="smtp"):
    client = SaslClient(from_text(PASSWORDS + more), prefix, DaemonLog(f"postfix/{prefix}", MemorySink()))
    message = QueuedMessage("ABC1", 1.0, Envelope(sender, ()), Content(b"", b""), 0)
    return await client.log_in(connection, message, next_hop)


def shown(line):
    return base64.b64decode(line.split()[2]).decode().split("\0")[1]


BY_SENDER = "smtp_sender_dependent_authentication = yes\n"


@pytest.mark.parametrize(
    ("more", "sender", "next_hop", "user"),
    [
        ("", "ann@example.com", "good.test", "host"),
        (BY_SENDER, "ann@example.com", "good.test", "ann"),
        (BY_SENDER, "Ann+list@Example.COM", "good.test", "ann"),
        (BY_SENDER, "joe@shop.test", "good.test", "shop"),
        (BY_SENDER, "joe@other.test", "good.test", "host"),
        (BY_SENDER, "", "good.test", "host"),
    ],
)
async def test_the_password_is_that_of_the_sender_or_the_host(more, sender, next_hop, user):
    async with server_that_says(b"235 2.7.0 in") as (connection, heard):
        assert await log_in(connection, more, sender, next_hop) is None
        assert shown(heard[0]) == user


@pytest.mark.parametrize(("flag", "user"), [("yes", "ann"), ("no", "host")])
async def test_lmtp_has_a_setting_of_its_own(flag, user):
    more = PASSWORDS.replace("smtp_", "lmtp_") + f"lmtp_sender_dependent_authentication = {flag}\n"
    async with server_that_says(b"235 2.7.0 in") as (connection, heard):
        assert await log_in(connection, more, "ann@example.com", prefix="lmtp") is None
        assert shown(heard[0]) == user


async def test_or_that_of_the_next_hop():
    async with server_that_says(b"235 2.7.0 in") as (connection, heard):
        more = "smtp_sasl_password_maps = inline:{ {[mx.good.test]:587 = hop:pass-word} }\n"
        assert await log_in(connection, more, "", "[mx.good.test]:587") is None
        assert shown(heard[0]) == "hop"


async def test_a_server_that_hangs_up_is_one_to_be_tried_again():
    async with server_that_says() as (connection, _):
        outcome = await log_in(connection)
    assert isinstance(outcome, Deferred)
    assert outcome.status.dsn == "4.4.2"
    assert outcome.status.text == "lost connection with mx.good.test[127.0.0.1] while performing the EHLO handshake"


async def test_a_server_that_is_silent_is_given_up():
    async with server_that_says(b"") as (connection, _):
        outcome = await log_in(connection, "smtp_helo_timeout = 1s\n")
    assert isinstance(outcome, Deferred)
    assert (
        outcome.status.text == "conversation with mx.good.test[127.0.0.1] timed out while performing the EHLO handshake"
    )


@pytest.mark.parametrize(
    ("replies", "text"),
    [
        ([b"454 4.7.0 later"], "server mx.good.test[127.0.0.1] said: 454 4.7.0 later"),
        ([b"535 5.7.8 no"], "server mx.good.test[127.0.0.1] said: 535 5.7.8 no"),
        ([b"334 ***"], "cannot authenticate to server mx.good.test[127.0.0.1]: Only base64 data is allowed"),
        ([b"334 c29tZXRoaW5n"], "cannot authenticate to server mx.good.test[127.0.0.1]: PLAIN has no challenge"),
        ([b"334 "] * 9, "cannot authenticate to server mx.good.test[127.0.0.1]: too many challenges"),
    ],
)
async def test_what_goes_wrong_is_told_and_the_mail_waits(replies, text):
    async with server_that_says(*replies) as (connection, _):
        outcome = await log_in(connection)
    assert isinstance(outcome, Deferred)
    assert outcome.status.text == f"SASL authentication failed; {text}"


async def test_a_refusal_for_good_bounces_where_main_cf_wants_it():
    async with server_that_says(b"535 5.7.8 no") as (connection, _):
        outcome = await log_in(connection, "smtp_sasl_auth_soft_bounce = no\n")
    assert isinstance(outcome, Bounced)
    assert outcome.status.dsn == "5.7.8"


@pytest.mark.parametrize("challenge", [b"\xff\xfe", b"r=nonsense", b"r=x,s=!,i=1", b"r=,s=,i=0"])
async def test_challenges_that_make_no_sense_do_no_harm(challenge):
    async with server_that_says(b"334 " + base64.b64encode(challenge)) as (connection, _):
        connection.features = Features(name="mx.good.test", keywords={"AUTH"}, auth=["SCRAM-SHA-256"])
        outcome = await log_in(connection)
    assert isinstance(outcome, Deferred)
    assert "cannot authenticate" in outcome.status.text


@pytest.mark.parametrize(
    ("more", "offered", "chosen"),
    [
        ("", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"], b"SCRAM-SHA-256"),
        (
            "smtp_sasl_mechanism_filter = !scram-sha-256, static:all\n",
            ["PLAIN", "CRAM-MD5", "SCRAM-SHA-256"],
            b"CRAM-MD5",
        ),
        ("smtp_sasl_mechanism_filter = plain\n", ["PLAIN", "CRAM-MD5"], b"PLAIN"),
        ("smtp_sasl_security_options = noplaintext\n", ["PLAIN", "CRAM-MD5"], b"CRAM-MD5"),
        ("smtp_sasl_security_options = mutual_auth\n", ["PLAIN", "CRAM-MD5", "SCRAM-SHA-256"], b"SCRAM-SHA-256"),
    ],
)
async def test_the_mechanism_is_the_best_that_both_allow(more, offered, chosen):
    async with server_that_says(b"535 5.7.8 no") as (connection, heard):
        connection.features = Features(name="mx.good.test", keywords={"AUTH"}, auth=offered)
        await log_in(connection, more)
        assert heard[0].split()[1] == chosen


async def test_without_a_mechanism_nothing_is_sent():
    async with server_that_says(b"250") as (connection, heard):
        outcome = await log_in(connection, "smtp_sasl_security_options = noplaintext\n")
        assert "no mechanism available" in outcome.status.text
        assert heard == []


def test_a_server_that_repeats_the_password_does_not_get_it_into_the_log():
    everything = base64.b64encode(b"\0ann\0pass-word").decode()
    said = without_secret(ServerReply(535, (f"535-no: pass-word {everything}", "535 cGFzcy13b3Jk")), "ann", "pass-word")
    assert said.said == "535-no: [...] [...] 535 [...]"
    assert without_secret(ServerReply(535, ("535 a wrong one",)), "ann", "a").said == "535 a wrong one"


HOST = "mx.good.test[127.0.0.1]"
INCOMPATIBLE = "offered no compatible authentication mechanisms for this type of connection security"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("smtp_sasl_mechanism_filter = login\n", f"SASL authentication failed: server {HOST} {INCOMPATIBLE}"),
        (
            "smtp_sasl_password_maps = static:{ :secret}\n",
            f"SASL authentication failed; cannot authenticate to server {HOST}: generic failure",
        ),
    ],
)
async def test_a_login_that_cannot_begin_lets_the_mail_wait(more, text):
    async with server_that_says(b"250") as (connection, heard):
        outcome = await log_in(connection, more)
        assert heard == []
    assert isinstance(outcome, Deferred)
    assert (outcome.status.dsn, outcome.status.text) == ("4.7.0", text)


async def test_a_refusal_without_an_enhanced_code_has_none_of_ours():
    async with server_that_says(b"503 already logged in") as (connection, _):
        outcome = await log_in(connection)
    assert (type(outcome), outcome.status.dsn) == (Deferred, "4.0.0")


async def test_a_password_table_that_fails_lets_the_mail_wait():
    async with server_that_says(b"250") as (connection, heard):
        outcome = await log_in(connection, "smtp_sasl_password_maps = fail:down\n")
        assert heard == []
    assert (outcome.status.dsn, outcome.status.text) == ("4.3.0", f"local data error while talking to {HOST}")
