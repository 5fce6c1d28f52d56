"""A configuration that would relay for strangers is known before it runs."""

from __future__ import annotations

import pytest

from posthouse.config.settings import load
from posthouse.errors import ConfigError
from posthouse.policy import closed_relay_check


@pytest.fixture
def settings_of(tmp_path):
    def made(text: str):
        (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n" + text)
        return load(str(tmp_path))

    return made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination",
        "smtpd_relay_restrictions = permit_mynetworks, REJECT\n",
        "smtpd_relay_restrictions = defer_if_permit\n",
        "smtpd_relay_restrictions = check_relay_domains\n",
        "smtpd_relay_restrictions = ours\nsmtpd_restriction_classes = ours\nours = reject_unauth_destination\n",
        "smtpd_relay_restrictions = warn_if_reject reject, defer\n",
    ],
)
def test_closed_ones_pass(settings_of, text):
    closed_relay_check(settings_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks\n",
        "smtpd_relay_restrictions = warn_if_reject reject_unauth_destination\n",
        "smtpd_relay_restrictions = permit, reject\n",
        "smtpd_relay_restrictions = reject_unauth_destinatoin\n",
        "smtpd_relay_restrictions = ours\nsmtpd_restriction_classes = ours\nours = permit_mynetworks\n",
        "smtpd_relay_restrictions = ours\nsmtpd_restriction_classes = ours\nours = ours\n",
    ],
)
def test_open_ones_do_not(settings_of, text):
    with pytest.raises(
        ConfigError, match="specify at least one working instance of: reject_unauth_destination"
    ) as caught:
        closed_relay_check(settings_of(text))
    assert caught.value.line == 2
