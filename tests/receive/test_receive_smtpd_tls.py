from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import socket
import ssl
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL
from smtpd_scene import Client, Scene

import certificates
from auth_servers import FakeDovecot
from posthouse.backstage.anvil import Anvil
from posthouse.protocols.sasl_client import ScramSha256
from posthouse.sasl.password_hash import hash_password

HOST = "unknown[127.0.0.1]"


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    place = tmp_path_factory.mktemp("certificates")
    authority = certificates.make(place, "ca", "the authority", authority=True)
    return {
        "place": place,
        "ca": authority,
        "server": certificates.make(place, "server", "mail.example.com", issuer=authority),
        "other": certificates.make(place, "other", "other.example.org", issuer=authority),
        "client": certificates.make(place, "client", "known client", issuer=authority),
        "stranger": certificates.make(place, "stranger", "unknown client"),
        "expired": certificates.make(place, "expired", "mail.example.com", issuer=authority, expired=True),
    }


def keys(issued, name="server"):
    return f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {issued[name].key} {issued[name].certificate}\n"


def trusting(issued, certificate=None):
    context = ssl.create_default_context(cafile=str(issued["ca"].certificate))
    if certificate:
        context.load_cert_chain(issued[certificate].certificate, issued[certificate].key)
    return context


async def secured(scene, issued, *, certificate=None, name="mail.example.com", wrapped=False, context=None):
    """A client after STARTTLS (or TLS at once). Raises what the handshake raises."""
    context = context or trusting(issued, certificate)
    if wrapped:
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.port, ssl=context, server_hostname=name)
        scene.writers.append(writer)
        client = Client(reader, writer)
        client.greeting = await client.reply()
        return client
    client = await scene.client()
    await client.reply()
    assert "250-STARTTLS" in await client.say("EHLO client.test")
    assert await client.say("STARTTLS") == "220 2.0.0 Ready to start TLS"
    await client.writer.start_tls(context, server_hostname=name)
    return client


def shown(client):
    certificate = client.writer.get_extra_info("peercert")
    return dict(pair for entry in certificate["subject"] for pair in entry)["commonName"]


async def test_a_message_under_tls(tmp_path, issued):
    main_cf = keys(issued) + "smtpd_tls_loglevel = 1\nsmtpd_tls_received_header = yes\n"
    async with Scene(tmp_path, main_cf) as scene:
        client = await secured(scene, issued)
        keywords = await client.say("EHLO client.test")
        assert "STARTTLS" not in keywords
        await client.play("""
            C: STARTTLS
            S: 554 5.5.1 Error: TLS already active
            C: MAIL FROM:<a@b.test>
            S: 250 2.1.0 Ok
            C: RCPT TO:<x@example.org>
            S: 250 2.1.5 Ok
            C: DATA
            S: 354 End data with <CR><LF>.<CR><LF>
        """)
        client.raw(b"Subject: x\r\n\r\n" + b"line of text\r\n" * 20_000 + b".\r\n")
        assert await client.reply() == "250 2.0.0 Ok: queued as Q1"
        assert await client.say("QUIT") == "221 2.0.0 Bye"
        assert await client.reply() == "EOF"
        assert scene.content().count(b"line of text\n") == 20_000
        top = scene.content()[:400]
        assert b"\n\t(using TLSv1.3 with cipher TLS_AES_" in top
        assert b"bits)\n\t key-exchange " in top
        assert b")\n\t(No client certificate requested)\n\tby mail.example.com (Postfix) with ESMTPS id Q1\n" in top
        await scene.log(f"Anonymous TLS connection established from {HOST}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384")
        await scene.log("ehlo=2 starttls=1/2 mail=1 rcpt=1 data=1 quit=1 commands=7/8")
        assert scene.mail.envelope.origin.protocol_name == "ESMTPS"


async def test_commands_sent_ahead_of_tls_are_never_obeyed(tmp_path, issued):
    async with Scene(tmp_path, keys(issued)) as scene:
        client = await scene.client()
        await client.reply()
        await client.say("EHLO client.test")
        client.raw(b"STARTTLS\r\nMAIL FROM:<attacker@b.test>\r\nRCPT TO:<x@example.org>\r\n")
        assert (await client.reply()).startswith("220")
        await client.writer.start_tls(trusting(issued), server_hostname="mail.example.com")
        assert await client.say("RCPT TO:<x@example.org>") == "503 5.5.1 Error: need MAIL command"
        assert "mail" not in scene.gate.asked


async def test_tls_makes_the_client_introduce_itself_and_log_in_again(tmp_path, issued):
    main_cf = (
        keys(issued)
        + "smtpd_helo_required = yes\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = auth\n"
    )
    async with FakeDovecot(tmp_path / "auth") as dovecot, Scene(tmp_path, main_cf) as scene:
        client = await scene.client()
        await client.reply()
        await client.say("EHLO client.test")
        assert (await client.say("AUTH PLAIN AGpvZQBzZWNyZXQ=")).startswith("235")
        await client.say("STARTTLS")
        await client.writer.start_tls(trusting(issued), server_hostname="mail.example.com")
        assert await client.say("MAIL FROM:<a@b.test>") == "503 5.5.1 Error: send HELO/EHLO first"
        assert "250-AUTH PLAIN LOGIN" in await client.say("EHLO client.test")
        assert (await client.say("AUTH PLAIN AGpvZQBzZWNyZXQ=")).startswith("235")
        assert "\tsecured\t" in dovecot.lines[-1]


@pytest.mark.parametrize("level", ["encrypt", "verify"])
async def test_where_tls_is_required_logins_are_offered_only_under_it(tmp_path, issued, level):
    sasl = "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = auth\n"
    async with FakeDovecot(tmp_path / "auth"), Scene(tmp_path, keys(issued).replace("may", level) + sasl) as scene:
        client = await scene.client()
        await client.reply()
        assert "AUTH" not in await client.say("EHLO client.test")
        client = await secured(scene, issued)
        assert "250-AUTH PLAIN LOGIN" in await client.say("EHLO client.test")
        unsupported = 'smtpd_tls_security_level: unsupported TLS level "verify", using "encrypt"'
        assert any(unsupported in line for line in scene.sink.lines) == (level == "verify")


async def test_certificates_are_demanded_only_where_tls_is(tmp_path, issued):
    more = (
        f"smtpd_tls_req_ccert = yes\nsmtpd_tls_received_header = yes\nsmtpd_tls_CAfile = {issued['ca'].certificate}\n"
    )
    async with Scene(tmp_path, keys(issued) + more) as scene:
        client = await secured(scene, issued, certificate="client")
        await client.say("EHLO client.test")
        await client.say("MAIL FROM:<a@b.test>")
        await client.say("RCPT TO:<x@example.org>")
        await client.say("DATA")
        assert (await client.say("Subject: x\r\n\r\ntext\r\n.")).startswith("250")
        assert b"(No client certificate requested)" in scene.content()


async def test_without_a_certificate_on_purpose_clients_that_want_one_fail(tmp_path, issued):
    async with Scene(tmp_path, "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = none\n") as scene:
        client = await scene.client()
        await client.reply()
        assert (await client.say("STARTTLS")).startswith("220")
        with pytest.raises(OSError, match="alert handshake failure"):
            await client.writer.start_tls(trusting(issued), server_hostname="mail.example.com")
        await scene.log(f"SSL_accept error from {HOST}: -1")


async def test_wrapper_mode_speaks_tls_first(tmp_path, issued):
    async with Scene(tmp_path, keys(issued) + "smtpd_tls_wrappermode = yes\n") as scene:
        client = await secured(scene, issued, wrapped=True)
        assert client.greeting == "220 mail.example.com ESMTP Postfix"
        assert "STARTTLS" not in await client.say("EHLO client.test")
        assert (await client.say("MAIL FROM:<a@b.test>")).startswith("250")


@pytest.mark.parametrize("wrapped", [False, True])
async def test_garbage_in_place_of_a_handshake(tmp_path, issued, wrapped):
    async with Scene(tmp_path, keys(issued) + f"smtpd_tls_wrappermode = {'yes' if wrapped else 'no'}\n") as scene:
        client = await scene.client()
        if not wrapped:
            await client.reply()
            await client.say("STARTTLS")
        client.raw(b"EHLO this is no handshake\r\n")
        assert (await client.reader.read())[:1] in (b"", b"\x15")
        await scene.log(f"SSL_accept error from {HOST}: -1")
        await scene.log("warning: TLS library problem: SSL routines:")
        await scene.log(f"lost connection after {'CONNECT' if wrapped else 'STARTTLS'} from {HOST}")
        await scene.log(f"disconnect from {HOST} {'commands=0/0' if wrapped else 'starttls=0/1 commands=0/1'}")


async def test_a_handshake_that_hangs_ends_by_its_time_limit(tmp_path, issued):
    async with Scene(tmp_path, keys(issued) + "smtpd_starttls_timeout = 1\n") as scene:
        client = await scene.client()
        await client.reply()
        await client.say("STARTTLS")
        assert await client.reply() == "EOF"
        await scene.log(f"SSL_accept error from {HOST}: Connection timed out")
        await scene.log(f"lost connection after STARTTLS from {HOST}")


async def test_a_client_that_leaves_in_the_handshake(tmp_path, issued):
    async with Scene(tmp_path, keys(issued)) as scene:
        client = await scene.client()
        await client.reply()
        await client.say("STARTTLS")
        client.vanish()
        await scene.log(f"SSL_accept error from {HOST}:")
        await scene.log("disconnect from", "starttls=0/1")


async def test_where_tls_is_required(tmp_path, issued):
    async with Scene(tmp_path, keys(issued).replace("may", "encrypt")) as scene:
        client = await scene.client()
        await client.reply()
        await client.say("EHLO client.test")
        for command in ("MAIL FROM:<a@b.test>", "RSET", "VRFY a", "AUTH PLAIN x", "XFORWARD NAME=a"):
            assert await client.say(command) == "530 5.7.0 Must issue a STARTTLS command first"
        assert (await client.say("NOOP")).startswith("250")
        client = await secured(scene, issued)
        assert (await client.say("MAIL FROM:<a@b.test>")).startswith("250")


@pytest.mark.parametrize(
    ("main_cf", "complaint"),
    [
        ("", "No server certs available. TLS won't be enabled"),
        (
            "smtpd_tls_cert_file = {server.certificate}\nsmtpd_tls_key_file = {other.key}\n",
            "the private key does not belong to the certificate",
        ),
        ("smtpd_tls_cert_file = /nowhere.pem\n", "error opening chain file: /nowhere.pem: No such file or directory"),
        ("smtpd_tls_cert_file = {server.certificate}\n", "no private key found"),
        ("smtpd_tls_chain_files = {server.key}\n", "no certificate found"),
        (
            "smtpd_tls_chain_files = {server.key} {server.certificate}\nsmtpd_tls_protocols = nonsense\n",
            'Invalid TLS protocol list "nonsense"',
        ),
        (
            "smtpd_tls_chain_files = {server.key} {server.certificate}\nsmtpd_tls_ciphers = best\n",
            'Invalid TLS cipher grade: "best"',
        ),
    ],
)
async def test_what_is_wrong_with_keys_is_named_and_mail_goes_on(tmp_path, issued, main_cf, complaint):
    text = main_cf.format(server=issued["server"], other=issued["other"])
    async with Scene(tmp_path, f"smtpd_tls_security_level = may\n{text}") as scene:
        client = await scene.client()
        await client.reply()
        assert await client.say("STARTTLS") == "454 4.7.0 TLS not available due to local problem"
        assert (await client.say("MAIL FROM:<a@b.test>")).startswith("250")
        assert await client.say("STARTTLS") == "454 4.7.0 TLS not available due to local problem"
        assert len(await scene.log("warning:", complaint)) == 1


async def test_an_expired_certificate_serves_and_is_complained_about(tmp_path, issued):
    async with Scene(tmp_path, keys(issued, "expired")) as scene:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            await secured(scene, issued)
        await scene.log("warning: the certificate CN=mail.example.com has expired on ")


async def test_a_renewed_certificate_serves_at_once(tmp_path, issued):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(name, *, with_key=True):
        for source, target in ((issued[name].certificate, certificate), (issued[name].key, key))[: 1 + with_key]:
            new = tmp_path / "new"
            new.write_bytes(source.read_bytes())
            os.rename(new, target)

    install("server")
    main_cf = f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\n"
    async with Scene(tmp_path, main_cf) as scene:
        assert shown(await secured(scene, issued)) == "mail.example.com"
        install("other", with_key=False)  # the key comes a moment later
        assert shown(await secured(scene, issued)) == "mail.example.com"
        await scene.log("the former certificate goes on serving")
        install("other")
        assert shown(await secured(scene, issued, name="other.example.org")) == "other.example.org"


async def test_the_name_that_a_client_asks_for_chooses_the_certificate(tmp_path, issued):
    chain = f"{issued['other'].key} {issued['other'].certificate}"
    names = f"tls_server_sni_maps = inline:{{ {{ other.example.org = {chain} }}, {{ .example.net = {chain} }} }}\nsmtpd_tls_loglevel = 1\n"
    async with Scene(tmp_path, keys(issued) + names) as scene:
        assert shown(await secured(scene, issued)) == "mail.example.com"
        assert shown(await secured(scene, issued, name="other.example.org")) == "other.example.org"
        context = trusting(issued)
        context.check_hostname = False
        assert shown(await secured(scene, issued, name="a.b.example.net", context=context)) == "other.example.org"
        await scene.log(f"TLS SNI mail.example.com from {HOST} not matched, using default chain")
        await scene.log(f"Anonymous TLS connection established from {HOST}: TLSv1.3")
        await scene.log(f"Anonymous TLS connection established from {HOST} to a.b.example.net: TLSv1.3")


@pytest.mark.parametrize(
    ("who", "trust", "line"),
    [
        ("client", "Trusted", 'Client CN "known client", Issuer "the authority" (verified OK)'),
        ("stranger", "Untrusted", 'Client CN "unknown client", Issuer "unknown client" (not verified)'),
        (None, "Anonymous", "Client did not present a certificate"),
    ],
)
async def test_a_clients_certificate_may_be_worth_something_or_nothing(tmp_path, issued, who, trust, line):
    more = f"smtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = {issued['ca'].certificate}\nsmtpd_tls_loglevel = 1\nsmtpd_tls_received_header = yes\n"
    async with Scene(tmp_path, keys(issued) + more) as scene:
        client = await secured(scene, issued, certificate=who)
        await client.say("EHLO client.test")
        request = next(iter(scene.service._sessions)).request
        assert request.ccert_fingerprint == (issued[who].fingerprint() if who else "")
        assert request.ccert_subject == ("known client" if who == "client" else "")
        assert ("tls_trusted" in request.notes) == (who == "client")
        await client.play("""
            C: MAIL FROM:<a@b.test>
            S: 250 2.1.0 Ok
            C: RCPT TO:<x@example.org>
            S: 250 2.1.5 Ok
            C: DATA
            S: 354 End data with <CR><LF>.<CR><LF>
            C: .
            S: 250 2.0.0 Ok: queued as Q1
        """)
        assert f"\n\t({line})\n".encode() in scene.content()
        await scene.log(f"{trust} TLS connection established from {HOST}: ")


@pytest.mark.parametrize(
    ("who", "reply"),
    [("client", ""), ("stranger", "Client certificate not trusted"), (None, "No client certificate presented")],
)
async def test_a_certificate_may_be_demanded(tmp_path, issued, who, reply):
    more = f"smtpd_tls_req_ccert = yes\nsmtpd_tls_CAfile = {issued['ca'].certificate}\n"
    async with Scene(tmp_path, keys(issued).replace("may", "encrypt") + more) as scene:
        client = await secured(scene, issued, certificate=who)
        if not reply:
            assert (await client.say("EHLO client.test")).startswith("250")
            return
        assert await client.reply() == f"421 4.7.1 mail.example.com Error: {reply}"
        await scene.log(f"NOQUEUE: abort: TLS from {HOST}: {reply}")


async def test_new_tls_sessions_of_a_client_are_limited(tmp_path, issued):
    async with Scene(tmp_path, keys(issued) + "smtpd_client_new_tls_session_rate_limit = 1\n") as scene:
        scene.house.anvil = Anvil(scene.service.log)
        client = await secured(scene, issued)
        assert (await client.say("EHLO client.test")).startswith("250")
        again = await secured(scene, issued)
        text = f"421 4.7.0 mail.example.com Error: too many new TLS sessions from {HOST}"
        assert await again.reply() == text
        await scene.log(f"New TLS session rate limit exceeded: 2 from {HOST} for service smtp")
        third = await scene.client()
        await third.reply()
        await third.say("EHLO client.test")
        assert await third.say("STARTTLS") == f"454 4.7.0 Error: too many new TLS sessions from {HOST}"
        assert (await third.say("NOOP")).startswith("250")
        await scene.log(f"Refusing STARTTLS request from {HOST} for service smtp")


@pytest.mark.parametrize(
    ("main_cf", "version"),
    [("smtpd_tls_protocols = !TLSv1.3", "TLSv1.2"), ("smtpd_tls_protocols = >=TLSv1.3", "TLSv1.3")],
)
async def test_versions_are_those_of_smtpd_tls_protocols(tmp_path, issued, main_cf, version):
    async with Scene(tmp_path, keys(issued) + main_cf) as scene:
        client = await secured(scene, issued)
        assert client.writer.get_extra_info("ssl_object").version() == version


async def test_a_peer_that_does_not_read_does_not_stop_others(tmp_path, issued):
    async with Scene(tmp_path, keys(issued)) as scene:
        silent = await secured(scene, issued)
        silent.raw(b"NOOP\r\n" * 20_000)
        client = await secured(scene, issued)
        assert (await client.say("EHLO client.test")).startswith("250")


def scram_plus(port, context, binding, *, other_binding=b""):
    """The last reply to a login that is bound to its connection, from a client with OpenSSL's own means."""

    def reply():
        text = file.readline()
        while text[3:4] == b"-":
            text = file.readline()
        return text.decode().strip()

    with socket.create_connection(("127.0.0.1", port), 20) as plain:
        file = plain.makefile("rb")
        reply()
        plain.sendall(b"EHLO x\r\n")
        reply()
        plain.sendall(b"STARTTLS\r\n")
        assert reply().startswith("220")
        file.close()
        tls = SSL.Connection(context, plain)
        tls.set_connect_state()
        plain.settimeout(None)
        tls.do_handshake()
        if binding == "tls-exporter":
            data = tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        elif binding == "tls-unique":
            data = tls.get_finished()
        else:
            data = tls.get_peer_certificate(as_cryptography=True).fingerprint(hashes.SHA256())
        heard = b""

        def say(line):
            nonlocal heard
            tls.sendall(line + b"\r\n")
            heard = b""
            while not re.search(rb"(?m)^\d{3}(?: .*)?\r$", heard):
                heard += tls.recv(4096)
            return heard.decode().strip()

        assert "SCRAM-SHA-256-PLUS" in say(b"EHLO x")
        client = ScramSha256("joe", "secret", lambda: "nonce")
        client.header = f"p={binding},,".encode()
        answer = say(b"AUTH SCRAM-SHA-256-PLUS " + base64.b64encode(client.initial()))
        client.header += other_binding or data
        while answer.startswith("334 "):
            answer = say(base64.b64encode(client.answer(base64.b64decode(answer[4:]))))
        return answer


@pytest.mark.parametrize(
    ("version", "binding"),
    [
        ("TLSv1.2", "tls-unique"),
        ("TLSv1.2", "tls-exporter"),
        ("TLSv1.2", "tls-server-end-point"),
        ("TLSv1.3", "tls-exporter"),
        ("TLSv1.3", "tls-server-end-point"),
    ],
)
async def test_a_login_bound_to_its_connection(tmp_path, issued, version, binding):
    (tmp_path / "logins").write_text(f"joe:{hash_password('secret', 'SCRAM-SHA-256')}\n")
    sasl = f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = posthouse\nsmtpd_sasl_path = {tmp_path}/logins\n"
    async with Scene(tmp_path, f"{keys(issued)}{sasl}smtpd_tls_protocols = {version}\n") as scene:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        said = await asyncio.to_thread(scram_plus, scene.port, context, binding)
        assert said == "235 2.7.0 Authentication successful"
        said = await asyncio.to_thread(scram_plus, scene.port, context, binding, other_binding=b"of another connection")
        assert said == "535 5.7.8 Error: authentication failed: SCRAM: channel binding does not match"


@pytest.mark.skipif(not shutil.which("gsasl"), reason="needs gsasl")
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
async def test_gnu_sasl_logs_in_bound_to_its_connection(tmp_path, issued, version):
    own = {"here": certificates.make(tmp_path, "here", "localhost", issuer=issued["ca"])}
    (tmp_path / "logins").write_text(f"joe:{hash_password('secret', 'SCRAM-SHA-256')}\n")
    sasl = f"smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = posthouse\nsmtpd_sasl_path = {tmp_path}/logins\n"
    words = ["gsasl", "--smtp", "--mechanism=SCRAM-SHA-256-PLUS", "--authentication-id=joe", "--password=secret"]
    async with Scene(tmp_path, f"{keys(own, 'here')}{sasl}smtpd_tls_protocols = {version}\n") as scene:
        words += [f"--x509-ca-file={issued['ca'].certificate}", "localhost", str(scene.port)]
        done = await asyncio.to_thread(
            subprocess.run, words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        assert "235 2.7.0 Authentication successful" in done.stdout + done.stderr


def refuse_certificate(port):
    """A client that trusts nobody, and says so."""
    with socket.create_connection(("127.0.0.1", port), 20) as plain, plain.makefile("rb") as replies:
        replies.readline()
        plain.sendall(b"STARTTLS\r\n")
        assert replies.readline().startswith(b"220")
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="mail.example.com")


async def test_level_2_of_the_log_tells_the_steps_of_a_handshake(tmp_path, issued):
    async with Scene(tmp_path, f"{keys(issued)}smtpd_tls_loglevel = 2\nsmtpd_tls_ciphers = high\n") as scene:
        await secured(scene, issued)
        await scene.log("setting up TLS connection from", HOST)
        await scene.log(f'{HOST}: TLS cipher list "')
        for state in ("SSLv3/TLS read client hello", "SSLv3/TLS write server hello", "SSLv3/TLS read finished"):
            await scene.log(f"postfix/smtpd: SSL_accept:{state}")
        await scene.log("postfix/smtpd: initializing the server-side TLS engine")
        await asyncio.to_thread(refuse_certificate, scene.port)
        await scene.log("postfix/smtpd: SSL3 alert read:fatal:unknown CA")


async def test_at_level_1_there_is_one_line(tmp_path, issued):
    async with Scene(tmp_path, f"{keys(issued)}smtpd_tls_loglevel = 1\n") as scene:
        await secured(scene, issued)
        await scene.log("Anonymous TLS connection established")
        assert not any("SSL_accept" in line or "setting up" in line for line in scene.sink.lines)
