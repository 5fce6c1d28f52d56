from __future__ import annotations

import pytest

from posthouse.config.settings import from_text
from posthouse.protocols.sasl_client import ScramSha256
from posthouse.protocols.scram_server import derive
from posthouse.sasl import open_login_service
from posthouse.sasl.password_hash import NEW_SCHEMES, hash_password, verify
from posthouse.services.login import Challenge, Denied, Granted, LoginPeer, Unavailable

PEER = LoginPeer("198.51.100.7", "192.0.2.1")
SCRAM = f"{{SCRAM-SHA-256}}{derive('secret', b'salt' * 4, 4096).text()}"


def logins(tmp_path, lines, more=""):
    (tmp_path / "smtpd_passwords").write_text("".join(f"{line}\n" for line in lines))
    return open_login_service(from_text(f"smtpd_sasl_type = posthouse\n{more}", str(tmp_path)))


@pytest.mark.parametrize("scheme", NEW_SCHEMES)
def test_a_password_is_known_again_in_every_scheme(scheme):
    stored = hash_password("pass wörd", scheme)
    assert stored.startswith(f"{{{scheme}}}")
    assert "pass" not in stored
    assert verify("pass wörd", stored)
    assert not verify("pass word", stored)


@pytest.mark.parametrize(
    ("stored", "good"),
    [
        ("{PLAIN}secret", True),
        (
            "{SHA512-CRYPT}$6$abc$K4v3HcZ8yAmpRfxML6S46NCcqy9r4/KdbQpFvqSWsBf4dgySOEOo1DHJTrmn2BsJK2aNmPN8Tfb826D2o9.z51",
            False,
        ),
        (SCRAM, True),
    ],
)
def test_hashes_of_others_are_understood(stored, good):
    assert verify("secret", stored) is good


@pytest.mark.parametrize("stored", ["{ROT13}x", "{SCRAM-SHA-256}x", "{SHA512-CRYPT}x", "{x", "{SCRAM-SHA-256}0,a,b,c"])
def test_what_is_not_understood_is_an_error_and_not_a_wrong_password(stored):
    with pytest.raises(ValueError):
        verify("secret", stored)


async def test_plain_and_login_ask_the_file_which_may_change(tmp_path):
    service = logins(tmp_path, ["# people", "Joe@example.org:{PLAIN}secret", "broken line"])
    assert [offer.name for offer in await service.offers()] == ["PLAIN", "LOGIN"]
    assert await service.dialogue(PEER).begin("PLAIN", b"\0joe@example.org\0secret") == Granted("joe@example.org")
    login = service.dialogue(PEER)
    assert await login.begin("login", None) == Challenge(b"Username:")
    assert await login.go_on(b"joe@example.org") == Challenge(b"Password:")
    assert await login.go_on(b"wrong") == Denied("authentication failure", "joe@example.org")
    (tmp_path / "smtpd_passwords").write_text("ann@example.org:{PLAIN}other\n")
    assert await service.dialogue(PEER).begin("PLAIN", b"\0ann@example.org\0other") == Granted("ann@example.org")
    assert isinstance(await service.dialogue(PEER).begin("PLAIN", b"\0joe@example.org\0secret"), Denied)
    await service.close()


@pytest.mark.parametrize("message", [b"", b"\0\0", b"\0joe\0", b"joe", b"a\0joe\0secret", b"\0joe\0s\0x", b"\0\xff\0x"])
async def test_broken_plain_and_acting_for_others_are_denied(tmp_path, message):
    service = logins(tmp_path, ["joe:{PLAIN}secret"])
    assert isinstance(await service.dialogue(PEER).begin("PLAIN", message), Denied)
    await service.close()


async def test_a_name_without_a_domain_gets_the_local_one(tmp_path):
    service = logins(tmp_path, ["joe@example.org:{PLAIN}secret"], "smtpd_sasl_local_domain = example.org\n")
    assert await service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret") == Granted("joe@example.org")
    await service.close()


async def test_any_table_will_do(tmp_path):
    service = open_login_service(
        from_text("smtpd_sasl_type = posthouse\nsmtpd_sasl_path = inline:{joe={PLAIN}secret}\n", str(tmp_path))
    )
    assert await service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret") == Granted("joe")
    await service.close()


async def test_a_broken_entry_and_a_missing_file_are_no_wrong_password(tmp_path):
    service = logins(tmp_path, ["joe:{ROT13}frperg"])
    assert isinstance(await service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret"), Unavailable)
    (tmp_path / "smtpd_passwords").unlink()
    assert isinstance(await service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret"), Unavailable)
    await service.close()


async def scram(service, password, user="joe"):
    client, server = ScramSha256(user, password, lambda: "abcdefgh"), service.dialogue(PEER)
    answer = await server.begin("SCRAM-SHA-256", client.initial())
    while isinstance(answer, Challenge):
        answer = await server.go_on(client.answer(answer.data))
    return answer


async def test_scram_is_offered_where_it_works_for_everybody(tmp_path):
    service = logins(tmp_path, [f"joe:{SCRAM}"])
    assert [offer.name for offer in await service.offers()][:2] == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    assert await scram(service, "secret") == Granted("joe")
    assert await scram(service, "wrong") == Denied("authentication failure", "joe")
    assert await scram(service, "secret", "nobody") == Denied("authentication failure", "nobody")
    assert await service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret") == Granted("joe")
    await service.close()


def test_clients_of_cyrus_sasl_can_compute_new_scram_keys():
    count = hash_password("secret", "SCRAM-SHA-256").removeprefix("{SCRAM-SHA-256}").split(",")[0]
    assert 4096 <= int(count) <= 65_536
