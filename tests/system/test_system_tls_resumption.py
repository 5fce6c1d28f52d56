"""A client goes on with the TLS session that it had with a server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
import uvloop

import certificates
from posthouse.deliver.smtp.connection import connect
from posthouse.deliver.smtp.peer import Peer
from posthouse.system.tls import peer_certificate
from posthouse.system.tls_resumption import ResumingContext

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


def contexts(tmp_path, version, life=100.0):
    pair = certificates.make(tmp_path, "server", "mx.test")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pair.certificate, pair.key)
    serving.minimum_version = serving.maximum_version = version
    client = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.life = life
    return serving, client


async def sessions(serving, client, *, may_resume=True):
    """For one connection after the other: whether it went on with an earlier session, and the certificate's names."""

    async def serve(_reader, writer):
        writer.write(b"220 hello\r\n")
        with contextlib.suppress(OSError):
            await _reader.read()
        writer.close()

    found = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=serving)
    for _ in range(3):
        connection = await connect(Peer("mx.test", "127.0.0.1", server.sockets[0].getsockname()[1]), 10)
        await connection.start_tls(client, "mx.test", 10)
        assert (await connection.reply(10)).code == 220
        found.append((connection.tls.session_reused, peer_certificate(connection.tls).names))
        connection.may_resume = may_resume
        connection.close()
        await asyncio.sleep(0.05)
    server.close()
    return found


def run(loop, coroutine):
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(coroutine)


@LOOPS
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_second_connection_goes_on_with_the_first_ones_session(tmp_path, loop, version):
    serving, client = contexts(tmp_path, version)
    found = run(loop, sessions(serving, client))
    # a session that is taken up again still shows whose it is
    assert found == [(False, ("mx.test",)), (True, ("mx.test",)), (True, ("mx.test",))]


@pytest.mark.parametrize(("life", "may_resume"), [(0.0, True), (100.0, False)])
def test_nothing_is_remembered_where_nobody_wants_it_or_the_server_was_not_good_enough(tmp_path, life, may_resume):
    serving, client = contexts(tmp_path, ssl.TLSVersion.TLSv1_3, life)
    found = run(uvloop.new_event_loop, sessions(serving, client, may_resume=may_resume))
    assert [resumed for resumed, _ in found] == [False, False, False]


def test_a_server_that_has_forgotten_makes_a_new_session(tmp_path):
    serving, client = contexts(tmp_path, ssl.TLSVersion.TLSv1_3)
    assert [resumed for resumed, _ in run(uvloop.new_event_loop, sessions(serving, client))] == [False, True, True]
    other, _ = contexts(tmp_path, ssl.TLSVersion.TLSv1_3)
    assert [resumed for resumed, _ in run(uvloop.new_event_loop, sessions(other, client))] == [False, True, True]


def test_a_session_is_forgotten_after_its_time(tmp_path):
    serving, client = contexts(tmp_path, ssl.TLSVersion.TLSv1_3, life=0.001)
    assert [resumed for resumed, _ in run(uvloop.new_event_loop, sessions(serving, client))] == [False, False, False]
