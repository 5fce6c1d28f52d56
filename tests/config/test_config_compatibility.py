import pytest

from posthouse.config.compatibility import relies_on_old_default
from posthouse.config.settings import from_text


@pytest.mark.parametrize(
    ("main_cf", "parameter", "relies"),
    [
        ("", "append_dot_mydomain", True),
        ("compatibility_level = 1", "append_dot_mydomain", False),
        ("append_dot_mydomain = yes", "append_dot_mydomain", False),
        ("compatibility_level = 1", "relay_domains", True),
        ("compatibility_level = 2", "relay_domains", False),
        ("compatibility_level = 2", "smtpd_relay_before_recipient_restrictions", True),
        ("compatibility_level = 3.6", "smtpd_relay_before_recipient_restrictions", False),
        ("compatibility_level = 10", "smtpd_relay_before_recipient_restrictions", False),
    ],
)
def test_an_old_default_counts_until_somebody_decides(main_cf, parameter, relies):
    assert relies_on_old_default(from_text(main_cf + "\n"), parameter) is relies
