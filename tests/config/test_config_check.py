"""What an administrator is told about a configuration before the house starts."""

from __future__ import annotations

import pytest

from posthouse.config.check import check
from posthouse.config.master_cf import Service
from posthouse.config.settings import from_text


def findings(text: str, *services: Service) -> list[str]:
    return [f"{finding.severity}: {finding}" for finding in check(from_text(text), services)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("smtpd_sasl_options = noanonymous",
         ("warning: /etc/postfix/main.cf, line 1: unused parameter: smtpd_sasl_options=noanonymous; "
         "did you mean smtpd_sasl_security_options?")),
        ("virtual_mailbx_maps = hash:/x",
         ("warning: /etc/postfix/main.cf, line 1: unused parameter: virtual_mailbx_maps=hash:/x; "
         "did you mean virtual_mailbox_maps?")),
        ("message_size_limit = abc",
         "fatal: /etc/postfix/main.cf, line 1: bad numerical configuration: message_size_limit = abc"),
        ("maximal_queue_lifetime = 5d # days",
         ("fatal: /etc/postfix/main.cf, line 1: parameter maximal_queue_lifetime: bad time value or unit: 5d # days "
         '(a comment must be on a line of its own: "#" is part of the value)')),
        ("smtpd_banner = hello # there",
         ('warning: /etc/postfix/main.cf, line 1: a comment must be on a line of its own: "#" is part of the value of '
         "smtpd_banner")),
        ("relayhost = $myhostnam", ("warning: /etc/postfix/main.cf, line 1: undefined parameter: myhostnam; "
         "did you mean myhostname?")),
        ("smtpd_tls_security_level = maybe",
         ("fatal: /etc/postfix/main.cf, line 1: bad value: smtpd_tls_security_level = maybe "
         "(expected one of: none, may, encrypt, fingerprint, verify, secure)")),
        ("postscreen_greet_action = enforce",
         ("warning: /etc/postfix/main.cf, line 1: postscreen_greet_action has no effect: there is no postscreen service "
         "yet; clients reach the SMTP server directly")),
        ("smtpd_upstream_proxy_protocol = nginx",
         ("fatal: /etc/postfix/main.cf, line 1: bad value: smtpd_upstream_proxy_protocol = nginx "
         "(expected one of: haproxy)")),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(line: str, told: str) -> None:
    assert findings(line + "\n") == [told]


def test_a_sound_configuration_has_no_findings() -> None:
    text = """
compatibility_level = 3.6
smtpd_restriction_classes = greylist
greylist = permit
mine = /etc/x
virtual_alias_maps = hash:$mine/virtual
relay_destination_concurrency_limit = 2
"""
    relay = Service("relay", "unix", True, True, False, 0, False, 0, "smtp", options={"syslog_name": "x/$service_name"})
    assert findings(text, relay) == []


def test_the_overrides_of_a_service_are_checked_too() -> None:
    service = Service(
        "smtp", "inet", False, True, False, 0, False, 100, "smtpd", (), {"smtpd_tls_wrappermod": "yes", "biff": "x"},
        "/etc/postfix/master.cf", 7,
    )  # fmt: skip
    assert findings("", service) == [
        (
            "warning: /etc/postfix/master.cf, line 7: unused parameter: smtpd_tls_wrappermod=yes; "
            "did you mean smtpd_tls_wrappermode?"
        ),
        "fatal: /etc/postfix/master.cf, line 7: bad boolean configuration: biff = x",
    ]


def test_dane_is_asked_for_with_dnssec_before_it_is_built() -> None:
    said = findings("smtp_tls_security_level = dane\nsmtp_dns_support_level = dnssec")
    assert any(
        "warning: /etc/postfix/main.cf, line 1: smtp_tls_security_level = dane is not built yet" in s for s in said
    )
    assert findings("smtp_tls_security_level = dane") == []
