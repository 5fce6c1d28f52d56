from __future__ import annotations

import asyncio

import pytest

from auth_servers import FakeDovecot
from posthouse.errors import LookupFailed
from posthouse.sasl.dovecot import DovecotAuth
from posthouse.services.login import Challenge, Denied, Granted, LoginPeer, Unavailable

PEER = LoginPeer("198.51.100.7", "192.0.2.1")


def opened(tmp_path):
    return DovecotAuth("auth", str(tmp_path), "smtp")


async def test_the_servers_mechanisms_and_their_properties_are_offered(tmp_path):
    async with FakeDovecot(tmp_path / "auth", ["PLAIN\tplaintext", "SCRAM-SHA-256\tmutual-auth"]):
        service = opened(tmp_path)
        offers = await service.offers()
        assert [(offer.name, set(offer.properties)) for offer in offers] == [
            ("PLAIN", {"plaintext"}),
            ("SCRAM-SHA-256", {"mutual-auth"}),
        ]
        await service.close()


async def test_a_login_tells_dovecot_where_it_comes_from(tmp_path):
    async with FakeDovecot(tmp_path / "auth") as dovecot:
        service = opened(tmp_path)
        assert await service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret") == Granted("joe")
        peer = LoginPeer("2001:db8::1", "192.0.2.1", is_secured=True, has_trusted_certificate=True)
        await service.dialogue(peer).begin("PLAIN", b"\0joe\0wrong")
        own = "service=smtp\tnologin\tlip=192.0.2.1"
        assert dovecot.lines[2:] == [
            f"AUTH\t1\tPLAIN\t{own}\trip=198.51.100.7\tresp=AGpvZQBzZWNyZXQ=",
            f"AUTH\t2\tPLAIN\t{own}\trip=2001:db8::1\tsecured\tvalid-client-cert\tresp=AGpvZQB3cm9uZw==",
        ]
        await service.close()


async def test_a_login_may_take_several_steps_and_fail_with_a_reason(tmp_path):
    async with FakeDovecot(tmp_path / "auth"):
        service = opened(tmp_path)
        login = service.dialogue(PEER)
        assert await login.begin("LOGIN", None) == Challenge(b"Username:")
        assert await login.go_on(b"joe") == Challenge(b"Password:")
        assert await login.go_on(b"nonsense") == Denied("not so", "joe")
        assert await service.dialogue(PEER).begin("PLAIN", b"\0busy\0x") == Denied("", "busy")
        assert await service.dialogue(PEER).begin("CRAM-MD5", None) == Denied("Invalid authentication mechanism")
        await service.close()


async def test_many_logins_share_one_connection(tmp_path):
    async with FakeDovecot(tmp_path / "auth") as dovecot:
        service = opened(tmp_path)
        words = [b"\0joe\0secret" if number % 2 else b"\0joe\0no" for number in range(50)]
        answers = await asyncio.gather(*(service.dialogue(PEER).begin("PLAIN", word) for word in words))
        assert answers == [Granted("joe") if number % 2 else Denied("not so", "joe") for number in range(50)]
        assert dovecot.connections == 1
        await service.close()


async def asked_in_vain(dovecot, service, times):
    """A login that the server does not answer, after it was asked so many times."""
    under_way = asyncio.create_task(service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret"))
    async with asyncio.timeout(20):
        while sum(line.startswith("AUTH") for line in dovecot.lines) < times:
            await asyncio.sleep(0.01)
    return under_way


async def test_a_login_that_a_restart_of_dovecot_has_cut_off_is_asked_again(tmp_path):
    async with FakeDovecot(tmp_path / "auth") as dovecot:
        service = opened(tmp_path)
        dovecot.silent = True
        under_way = await asked_in_vain(dovecot, service, 1)
        dovecot.silent = False
        dovecot.break_off()
        assert await under_way == Granted("joe")
        assert dovecot.connections == 2
        await service.close()


async def test_a_dovecot_that_goes_away_each_time_is_asked_twice(tmp_path):
    async with FakeDovecot(tmp_path / "auth") as dovecot:
        service = opened(tmp_path)
        dovecot.silent = True
        under_way = await asked_in_vain(dovecot, service, 1)
        dovecot.break_off()
        async with asyncio.timeout(20):
            while dovecot.connections < 2 or sum(line.startswith("AUTH") for line in dovecot.lines) < 2:
                await asyncio.sleep(0.01)
        dovecot.break_off()
        assert await under_way == Unavailable("Connection lost to authentication server")
        dovecot.silent = False
        assert await service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret") == Granted("joe")
        await service.close()


async def test_a_server_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LookupFailed, match="Connect to Dovecot auth socket 'auth' failed: No such file or directory"):
        await opened(tmp_path).offers()


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400\n", b"DONE\n", b"VERSION\t2\t0\nDONE\n", b"", b"x" * 100_000])
async def test_another_kind_of_server_does_not_pass_for_dovecot(tmp_path, greeting):
    async def talk(_reader, writer):
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_unix_server(talk, str(tmp_path / "auth")):
        with pytest.raises(LookupFailed):
            await opened(tmp_path).offers()


async def test_mechanisms_that_only_dovecot_knows_pass_through(tmp_path):
    async with FakeDovecot(tmp_path / "auth", ["OAUTHBEARER", "EXTERNAL"]) as dovecot:
        service = opened(tmp_path)
        token = b"n,a=joe@example.org,\x01host=mail\x01auth=Bearer %s\x01\x01"
        assert await service.dialogue(PEER).begin("OAUTHBEARER", token % b"good") == Granted("joe")
        login = service.dialogue(PEER)
        assert await login.begin("OAUTHBEARER", token % b"stale") == Challenge(b'{"status":"invalid_token"}')
        assert await login.go_on(b"\x01") == Denied("invalid token", "joe")
        certified = LoginPeer("198.51.100.7", "192.0.2.1", is_secured=True, has_trusted_certificate=True)
        assert await service.dialogue(certified).begin("external", b"") == Granted("joe")
        assert "valid-client-cert\tresp=" in dovecot.lines[-1]
        assert await service.dialogue(PEER).begin("EXTERNAL", b"") == Denied()
        await service.close()
