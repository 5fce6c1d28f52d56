"""smtpd_sasl_type = cyrus with the real saslauthd, which asks an IMAP server for its part."""

from __future__ import annotations

import shutil
import smtplib
import ssl
import tempfile
from pathlib import Path

import pytest

from whole_house.house_scene import until
from whole_house.submission_scene import PASSWORD, ImapStandIn, SubmissionHouse, saslauthd

pytestmark = pytest.mark.skipif(not shutil.which("saslauthd"), reason="needs sasl2-bin")


@pytest.fixture(scope="module")
def imap():
    server = ImapStandIn(PASSWORD)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def house():
    place = Path(tempfile.mkdtemp(prefix="posthouse-saslauthd-"))
    place.chmod(0o755)
    house = SubmissionHouse(place / "house", f"smtpd_sasl_type = cyrus\ncyrus_sasl_config_path = {place}/sasl\n")
    (place / "sasl").mkdir()
    mux = place / "run/mux"
    (place / "sasl/smtpd.conf").write_text(
        f"pwcheck_method: saslauthd\nmech_list: plain login\nsaslauthd_path: {mux}\n"
    )
    house.mux = place / "run"
    house.start()
    yield house
    house.stop()
    assert PASSWORD not in house.log
    shutil.rmtree(place, ignore_errors=True)


def submitting(house):
    client = smtplib.SMTP("localhost", house.submission, timeout=60)
    client.starttls(context=ssl.create_default_context(cafile=str(house.authority.certificate)))
    client.ehlo()
    return client


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_who_is_known_to_saslauthd_may_send(house, imap, mechanism):
    with saslauthd(house.mux, imap.server_address[1]), submitting(house) as client:
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
        client.user, client.password = "joe", PASSWORD
        client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
        client.sendmail("joe@example.org", "info@example.org", f"Subject: asked by {mechanism}\r\n\r\ntext\r\n")
    house.arrived(f"asked by {mechanism}")
    until(lambda: f"sasl_method={mechanism}, sasl_username=joe" in house.log)
    assert any("LOGIN" in words and "joe" in words for words in imap.asked)


def test_a_wrong_password_and_an_unknown_name_are_refused(house, imap):
    with saslauthd(house.mux, imap.server_address[1]), submitting(house) as client:
        for user, password in (("joe", "wrong"), ("ann", PASSWORD)):
            with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
                client.login(user, password, initial_response_ok=True)
            assert caught.value.smtp_code == 535
    until(lambda: "SASL PLAIN authentication failed: authentication failure, sasl_username=ann" in house.log)


def test_without_saslauthd_logins_wait_and_go_on_when_it_is_back(house, imap):
    with submitting(house) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login("joe", PASSWORD)
        assert caught.value.smtp_code == 454
        with saslauthd(house.mux, imap.server_address[1]):
            client.login("joe", PASSWORD)
    until(lambda: "cannot ask saslauthd: " in house.log)


def test_an_imap_server_that_is_not_there_lets_nobody_in(house):
    with saslauthd(house.mux, 1), submitting(house) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("joe", PASSWORD)
        client.close()
