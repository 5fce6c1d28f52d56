"""TLS and logins of the smtp agent, on uvloop, against a server with real certificates."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading

import pytest
import uvloop

import certificates
from posthouse.config.master_cf import Service
from posthouse.config.settings import load
from posthouse.deliver.smtp.client import build
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Bounced, Deferred, Sent
from posthouse.services.delivery import DeliveryRequest, Target
from posthouse.services.house import House
from posthouse.system.dns_answers import Answer, Mx
from posthouse.system.log import MemorySink

CHALLENGES = {"PLAIN": [], "LOGIN": [b"Username:", b"Password:"], "CRAM-MD5": [b"<1@sink>"]}


class Zone:
    async def mx(self, name):
        return Answer(name, "MX", (Mx(10, "mx.good.test"),))

    async def addresses(self, name, families):
        return Answer(name, "A", ("127.0.0.1",))


class TlsServer(threading.Thread):
    """A server in a thread with blocking sockets: STARTTLS, AUTH, one message a connection."""

    def __init__(self, pair=None, offers=("STARTTLS",), after=(), replies=None, garbage=False, go="220 go"):
        super().__init__(daemon=True)
        import socket

        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pair, self.offers, self.after, self.replies, self.garbage = pair, offers, after, replies or {}, garbage
        self.go = go
        self.commands, self.messages = [], 0

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.encrypted = None
                try:
                    self.serve(connection)
                except (OSError, ValueError):
                    pass
                finally:
                    self.reader.close()
                    if self.encrypted:
                        self.encrypted.close()

    def serve(self, connection):
        reader = self.reader = connection.makefile("rb")
        secure = False

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        say("220 sink ESMTP")
        while line := reader.readline().decode().strip():
            verb = line.split()[0].upper()
            self.commands.append(line)
            if self.replies.get(verb) == "close":
                return
            if verb in self.replies:
                say(self.replies[verb])
            elif verb == "EHLO":
                words = ["sink", *(self.after if secure else self.offers)]
                say("\r\n".join(f"250{' ' if w is words[-1] else '-'}{w}" for w in words))
            elif verb == "STARTTLS":
                say(self.go)
                if self.garbage:
                    connection.sendall(b"this is no TLS\r\n")
                    return
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.pair.certificate, self.pair.key)
                reader.close()
                connection = self.encrypted = context.wrap_socket(connection, server_side=True)
                reader, secure = connection.makefile("rb"), True
                self.reader = reader
            elif verb == "AUTH":
                self.authenticate(line, reader, say)
            elif verb == "DATA":
                say("354 go")
                while reader.readline() not in (b".\r\n", b""):
                    pass
                self.messages += 1
                say("250 2.0.0 Ok")
            elif verb == "QUIT":
                return
            else:
                say("250 Ok")

    def authenticate(self, line, reader, say):
        _, mechanism, *answers = line.split()
        for challenge in CHALLENGES[mechanism][len(answers) :]:
            say("334 " + base64.b64encode(challenge).decode())
            answers.append(reader.readline().decode().strip())
        self.login = [base64.b64decode(answer) for answer in answers]
        say("235 2.7.0 in")


@pytest.fixture
def pki(tmp_path):
    authority = certificates.make(tmp_path, "ca", authority=True)
    return {
        "ca": authority,
        "good": certificates.make(tmp_path, "good", "mx.good.test", issuer=authority),
        "self": certificates.make(tmp_path, "self", "mx.good.test"),
        "old": certificates.make(tmp_path, "old", "mx.good.test", issuer=authority, expired=True),
        "below": certificates.make(tmp_path, "below", "mx.of.good.test", issuer=authority),
    }


@pytest.fixture
def send(tmp_path, pki):
    def run(server, waited=0.0, **settings):
        server.start()
        lines = {
            "myhostname": "client.test", "compatibility_level": "3.6", "smtp_tls_CAfile": pki["ca"].certificate,
            "smtp_tls_loglevel": "1", "inet_interfaces": "127.0.0.9", **settings,
        }  # fmt: skip
        (tmp_path / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        loaded, sink = load(str(tmp_path)), MemorySink()
        agent = build(
            Service("smtp", "unix", True, True, False, 0, False, 0, "smtp"), loaded, House(loaded, (), sink, dns=Zone())
        )
        recipient = Recipient("x@good.test")
        content = Content(b"Subject: x\n", b"\ntext\n")
        message = QueuedMessage("ABC1", 1.0, Envelope("me@client.test", (recipient,)), content, content.size)
        request = DeliveryRequest(
            message, "smtp", f"good.test:{server.port}", (Target(0, recipient),), 1.0 + waited, 1.0 + waited
        )

        async def deliver():
            report = await asyncio.wait_for(agent.deliver(request), 10)
            await agent.close()
            await asyncio.sleep(0.05)
            return report

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(deliver())
        server.listener.close()
        return report.results[0].outcome, [line.removeprefix("postfix/smtp: ") for line in sink.lines]

    return run


@pytest.mark.parametrize(
    ("certificate", "level", "extra", "sent", "word"),
    [
        ("good", "may", {}, True, "Trusted"),
        ("self", "may", {}, True, "Untrusted"),
        ("self", "encrypt", {}, True, "Untrusted"),
        ("good", "verify", {}, True, "Verified"),
        ("self", "verify", {}, False, "Untrusted"),
        ("old", "verify", {}, False, "Untrusted"),
        ("good", "secure", {}, True, "Verified"),
        ("below", "secure", {}, True, "Verified"),
        ("below", "verify", {}, False, "Untrusted"),
        (
            "self",
            "fingerprint",
            {"smtp_tls_fingerprint_cert_match": "FP", "smtp_tls_fingerprint_digest": "sha256"},
            True,
            "Verified",
        ),
        ("good", "fingerprint", {"smtp_tls_fingerprint_cert_match": "AA:BB"}, False, "Untrusted"),
    ],
)
def test_each_level_takes_the_certificates_it_should(send, pki, certificate, level, extra, sent, word):
    extra = {name: value.replace("FP", pki[certificate].fingerprint()) for name, value in extra.items()}
    if level == "secure":
        extra["smtp_tls_secure_cert_match"] = "nexthop, dot-nexthop, hostname"
    server = TlsServer(pki[certificate])
    outcome, log = send(server, smtp_tls_security_level=level, **extra)
    assert isinstance(outcome, Sent if sent else Deferred), outcome
    if not sent:
        assert (outcome.status.dsn, outcome.status.text) == ("4.7.5", "Server certificate not verified")
    assert any(line.startswith(f"{word} TLS connection established to mx.good.test[127.0.0.1]") for line in log), log
    assert [command.split()[0] for command in server.commands][:3] == ["EHLO", "STARTTLS", "EHLO" if sent else "QUIT"]


def test_where_tls_is_required_and_not_offered_mail_waits(send):
    outcome, _ = send(TlsServer(offers=("SIZE",)), smtp_tls_security_level="encrypt")
    assert outcome.status.dsn == "4.7.4"
    assert outcome.status.text == "TLS is required, but was not offered by host mx.good.test[127.0.0.1]"


def test_a_broken_handshake_makes_young_mail_wait(send):
    server = TlsServer(garbage=True)
    outcome, _ = send(server, smtp_tls_security_level="may")
    assert (outcome.status.dsn, outcome.status.text) == ("4.7.5", "Cannot start TLS: handshake failure")


def test_a_broken_handshake_lets_old_mail_go_in_clear(send):
    server = TlsServer(garbage=True)
    outcome, _ = send(server, waited=400.0, smtp_tls_security_level="may")
    assert isinstance(outcome, Sent)
    assert server.messages == 1


def test_what_somebody_has_put_behind_the_reply_to_starttls_is_no_reply_under_tls(send, pki):
    server = TlsServer(
        pki["good"], after=("SIZE",), go="220 go\r\n250-mx.good.test\r\n250 AUTH PLAIN\r\n554 no\r\n554 no"
    )
    outcome, _ = send(server, smtp_tls_security_level="verify")
    assert isinstance(outcome, Sent)
    assert [command.split()[0] for command in server.commands][:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]


def test_a_password_never_goes_in_clear_because_tls_failed(send, tmp_path):
    (tmp_path / "passwords").write_text("mx.good.test ann:secret\n")
    server = TlsServer(garbage=True)
    outcome, _ = send(
        server, waited=400.0, smtp_tls_security_level="may", smtp_sasl_auth_enable="yes",
        smtp_sasl_password_maps=f"texthash:{tmp_path}/passwords",
    )  # fmt: skip
    assert outcome.status.text == "Cannot start TLS: handshake failure"
    assert server.messages == 0


@pytest.mark.parametrize(
    ("reply", "kind", "dsn"),
    [
        ("454 4.7.0 not now", Deferred, "4.7.0"),
        ("454 not now", Deferred, "4.0.0"),
        ("554 5.7.1 not for you", Bounced, "5.7.1"),
    ],
)
def test_a_server_that_offers_tls_and_refuses_it(send, reply, kind, dsn):
    outcome, _ = send(TlsServer(replies={"STARTTLS": reply}), smtp_tls_security_level="encrypt")
    assert isinstance(outcome, kind)
    text = f"TLS is required, but host mx.good.test[127.0.0.1] refused to start TLS: {reply}"
    assert (outcome.status.dsn, outcome.status.text) == (dsn, text)
    outcome, _ = send(TlsServer(replies={"STARTTLS": reply}), smtp_tls_security_level="may")
    assert isinstance(outcome, Sent)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"smtp_tls_cert_file": "/nowhere/own.pem"}, "error opening chain file: /nowhere/own.pem: No such file"),
        ({"smtp_tls_CAfile": "/nowhere/ca.pem"}, 'cannot load Certification Authority data, CAfile="/nowhere/ca.pem"'),
        ({"smtp_tls_chain_files": "KEY OTHER"}, "error loading private keys and certificates from: "),
    ],
)
def test_keys_and_authorities_that_are_no_good_are_named_and_count_as_no_tls(send, pki, settings, line):
    names = {"KEY OTHER": f"{pki['good'].key} {pki['self'].certificate}"}
    settings = {name: names.get(value, value) for name, value in settings.items()}
    outcome, log = send(TlsServer(pki["good"]), smtp_tls_security_level="encrypt", **settings)
    assert outcome.status.text == "TLS is required, but our TLS engine is unavailable"
    assert any(line in said for said in log), log
    server = TlsServer(pki["good"])
    outcome, _ = send(server, smtp_tls_security_level="may", **settings)
    assert isinstance(outcome, Sent)
    assert "STARTTLS" not in server.commands


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"smtp_tls_mandatory_protocols": "TLSv9"}, 'Invalid TLS protocol list "TLSv9": aborting TLS session'),
        ({"smtp_tls_mandatory_ciphers": "strange"}, 'invalid cipher grade: "strange"'),
    ],
)
def test_versions_and_ciphers_that_there_are_not_make_mail_wait(send, pki, settings, line):
    outcome, log = send(TlsServer(pki["good"]), smtp_tls_security_level="encrypt", **settings)
    assert outcome.status.text == "Cannot start TLS: handshake failure"
    assert any(line in said for said in log), log


def test_a_policy_table_decides_for_a_destination(send, pki, tmp_path):
    server = TlsServer(pki["self"])
    (tmp_path / "policy").write_text(f"good.test:{server.port} verify\n")
    outcome, _ = send(server, smtp_tls_security_level="may", smtp_tls_policy_maps=f"texthash:{tmp_path}/policy")
    assert outcome.status.text == "Server certificate not verified"


@pytest.mark.parametrize(
    ("offered", "options", "login"),
    [
        ("AUTH CRAM-MD5 LOGIN PLAIN", "noanonymous", b"ann "),
        ("AUTH LOGIN PLAIN", "noanonymous", b"\0ann\0secret"),
        ("AUTH LOGIN", "noanonymous", b"ann"),
    ],
)
def test_the_best_mechanism_is_taken_under_tls(send, pki, tmp_path, offered, options, login):
    (tmp_path / "passwords").write_text("mx.good.test ann:secret\n")
    server = TlsServer(pki["good"], after=(offered,))
    outcome, _ = send(
        server, smtp_tls_security_level="encrypt", smtp_sasl_auth_enable="yes",
        smtp_sasl_password_maps=f"texthash:{tmp_path}/passwords", smtp_sasl_security_options=options,
    )  # fmt: skip
    assert isinstance(outcome, Sent)
    assert server.login[0].startswith(login)


def test_a_wrong_password_makes_mail_wait_and_is_not_shown(send, pki, tmp_path):
    (tmp_path / "passwords").write_text("mx.good.test ann:secret\n")
    server = TlsServer(pki["good"], after=("AUTH PLAIN",), replies={"AUTH": "535 5.7.8 Error: authentication failed"})
    outcome, log = send(
        server, smtp_tls_security_level="encrypt", smtp_sasl_auth_enable="yes",
        smtp_sasl_password_maps=f"texthash:{tmp_path}/passwords", smtp_sasl_security_options="noanonymous",
    )  # fmt: skip
    assert outcome.status.dsn == "4.7.8"
    assert outcome.status.text == (
        "SASL authentication failed; server mx.good.test[127.0.0.1] said: 535 5.7.8 Error: authentication failed"
    )
    assert not any("secret" in line for line in log)


@pytest.mark.parametrize(
    ("entry", "offered", "replies", "dsn", "text"),
    [
        ("ann:secret", "AUTH", {}, "4.7.0", "offered no compatible authentication mechanisms"),
        ("ann:secret", "AUTH GSSAPI", {}, "4.7.0", "no mechanism available"),
        (":secret", "AUTH PLAIN", {}, "4.7.0", "generic failure"),
        ("ann:secret", "AUTH PLAIN", {"AUTH": "535 no"}, "4.0.0", "said: 535 no"),
        ("ann:secret", "AUTH PLAIN", {"AUTH": "close"}, "4.4.2", "lost connection with mx.good.test[127.0.0.1] while"),
    ],
)
def test_a_login_that_comes_to_nothing_makes_mail_wait(send, pki, tmp_path, entry, offered, replies, dsn, text):
    (tmp_path / "passwords").write_text(f"mx.good.test {entry}\n")
    server = TlsServer(pki["good"], after=(offered,), replies=replies)
    outcome, log = send(
        server, smtp_tls_security_level="encrypt", smtp_sasl_auth_enable="yes",
        smtp_sasl_password_maps=f"texthash:{tmp_path}/passwords", smtp_sasl_security_options="noanonymous",
        smtp_sasl_tls_security_options="noanonymous",
    )  # fmt: skip
    assert isinstance(outcome, Deferred)
    assert outcome.status.dsn == dsn
    assert text in outcome.status.text
    assert server.messages == 0
    assert not any("secret" in line for line in log)


def test_passwords_that_cannot_be_looked_up_make_mail_wait(send, pki):
    server = TlsServer(pki["good"], after=("AUTH PLAIN",))
    outcome, log = send(
        server, smtp_tls_security_level="encrypt", smtp_sasl_auth_enable="yes", smtp_sasl_password_maps="fail:broken"
    )
    assert outcome.status.text == "local data error while talking to mx.good.test[127.0.0.1]"
    assert any('fail:broken lookup error for "mx.good.test"' in line for line in log)
    assert server.messages == 0
