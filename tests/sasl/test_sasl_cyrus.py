from __future__ import annotations

import pytest

from auth_servers import FakeSaslauthd
from posthouse.config.settings import from_text
from posthouse.errors import LookupFailed
from posthouse.sasl import open_login_service
from posthouse.services.login import Denied, Granted, LoginPeer, Unavailable

PEER = LoginPeer("198.51.100.7", "192.0.2.1")


def opened(tmp_path, conf):
    (tmp_path / "sasl").mkdir()
    if conf is not None:
        (tmp_path / "sasl/smtpd.conf").write_text(conf)
    text = f"smtpd_sasl_type = cyrus\ncyrus_sasl_config_path = {tmp_path}/sasl\nsmtpd_sasl_local_domain = example.org\n"
    return open_login_service(from_text(text, str(tmp_path)))


async def test_saslauthd_judges_by_name_password_service_and_realm(tmp_path):
    conf = f"# comment\npwcheck_method: saslauthd\nmech_list: plain login\nsaslauthd_path: {tmp_path}/mux\n"
    async with FakeSaslauthd(tmp_path / "mux") as daemon:
        service = opened(tmp_path, conf)
        assert [offer.name for offer in await service.offers()] == ["PLAIN", "LOGIN"]
        assert await service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret") == Granted("joe@example.org")
        answer = await service.dialogue(PEER).begin("PLAIN", b"\0joe@example.net\0wrong")
        assert answer == Denied("authentication failure", "joe@example.net")
        assert daemon.asked == [("joe", "secret", "smtp", "example.org"), ("joe", "wrong", "smtp", "example.net")]


async def test_a_dead_saslauthd_is_no_wrong_password(tmp_path):
    service = opened(tmp_path, f"pwcheck_method: saslauthd\nsaslauthd_path: {tmp_path}/mux\n")
    assert isinstance(await service.dialogue(PEER).begin("PLAIN", b"\0joe\0secret"), Unavailable)


@pytest.mark.parametrize("conf", [None, "", "pwcheck_method: auxprop\n"])
async def test_an_smtpd_conf_that_does_not_name_saslauthd_is_complained_about(tmp_path, conf):
    with pytest.raises(LookupFailed):
        await opened(tmp_path, conf).offers()
