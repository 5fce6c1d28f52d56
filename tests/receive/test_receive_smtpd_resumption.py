"""Our own smtp agent goes on with TLS sessions of our own smtpd, where main.cf wants them to be remembered."""

from __future__ import annotations

import asyncio

import pytest
from smtpd_scene import Scene

import certificates
from posthouse.config.master_cf import Service
from posthouse.config.settings import from_text
from posthouse.deliver.smtp.client import build
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.services.delivery import DeliveryRequest, Target
from posthouse.services.house import House
from posthouse.system.log import MemorySink

REMEMBERS = "smtp_tls_session_cache_database = btree:/var/lib/postfix/smtp_scache\n"
RECIPIENT = Recipient("x@example.org")
ROW = Service("smtp", "unix", True, True, False, 0, False, 0, "smtp")


async def deliveries(scene, main_cf):
    """Three messages, one after the other: whether each went over a session that was there before."""
    settings = from_text(f"compatibility_level = 3.6\nmyhostname = client.test\ninet_interfaces = 127.0.0.9\n{main_cf}")
    agent = build(ROW, settings, House(settings, (), MemorySink()))
    content = Content(b"Subject: x\n", b"\ntext\n")
    message = QueuedMessage("ABC1", 1.0, Envelope("me@client.test", (RECIPIENT,)), content, content.size)
    request = DeliveryRequest(message, "smtp", f"[127.0.0.1]:{scene.port}", (Target(0, RECIPIENT),), 1.0, 1.0)
    for _ in range(3):
        await asyncio.wait_for(agent.deliver(request), 20)
    await agent.close()


@pytest.mark.parametrize(
    ("main_cf", "resumed"),
    [
        (f"{REMEMBERS}smtp_tls_security_level = may\n", [False, True, True]),
        (f"{REMEMBERS}smtp_tls_security_level = fingerprint\nsmtp_tls_fingerprint_cert_match = %s\n", [False, True, True]),
        (f"{REMEMBERS}smtp_tls_security_level = verify\n", [False, False, False]),  # it is not who it should be
        ("smtp_tls_security_level = may\n", [False, False, False]),
    ],
    ids=["may", "fingerprint", "not verified", "not wanted"],
)  # fmt: skip
async def test_sessions_are_taken_up_again(tmp_path, monkeypatch, main_cf, resumed):
    pair = certificates.make(tmp_path, "server", "mail.example.com")
    keys = f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.key} {pair.certificate}\n"
    seen = []
    async with Scene(tmp_path, keys) as scene:
        server = scene.service.tls
        log_session = server._log_session
        monkeypatch.setattr(
            server, "_log_session", lambda session, tls: (seen.append(tls.found.is_resumed), log_session(session, tls))
        )
        await deliveries(scene, main_cf.replace("%s", pair.fingerprint()))
    assert seen == resumed
