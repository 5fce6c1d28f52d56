"""What is said of the way of strangers through a configuration, list by list."""

from __future__ import annotations

import pytest

from posthouse.config.settings import from_text
from posthouse.policy.proof import State, prove_service
from posthouse.policy.proof.dialogue import in_words, session_lines
from posthouse.policy.proof.supposed import SupposedDns, supposed_probe
from posthouse.rewrite.trivial_rewrite import TrivialRewrite
from posthouse.services.house import House
from posthouse.system.log import MemorySink

BASE = """compatibility_level = 3.6
myhostname = mail.example.com
mynetworks = 10.0.0.0/8
inet_interfaces = 192.0.2.1
virtual_mailbox_domains = example.org
"""
ONLY = "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks, "


@pytest.fixture
def prove(tmp_path):
    def proved(text: str, files: dict[str, str] | None = None):
        for name, content in (files or {}).items():
            (tmp_path / name).write_text(content)
        settings = from_text(BASE + text.replace("@CONF@", str(tmp_path)), str(tmp_path))
        house = House(settings, (), MemorySink(), dns=SupposedDns(), verify=supposed_probe)
        house.rewriter = TrivialRewrite(settings, house)
        return prove_service("smtp", settings, house), settings

    return proved


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("", State.CLOSED),
        (ONLY + "reject_unauth_destination", State.CLOSED),
        (ONLY + "permit_sasl_authenticated, permit_tls_clientcerts, permit_inet_interfaces, defer", State.CLOSED),
        (ONLY + "defer_if_permit", State.CLOSED),
        (ONLY + "permit_mx_backup, reject_unauth_destination", State.CLOSED),
        (ONLY + "permit_dnswl_client list.dnswl.org, reject_unauth_destination", State.CLOSED),
        (ONLY + "check_client_access cidr:{{203.0.113.0/24 OK}}, reject_unauth_destination", State.CLOSED),
        (ONLY + "check_recipient_access inline:{info@example.org=OK}, reject_unauth_destination", State.CLOSED),
        (ONLY + "check_sender_mx_access inline:{x=OK}, reject_unauth_destination", State.CLOSED),
        ("smtpd_client_restrictions = permit_mynetworks, reject\n" + ONLY + "permit", State.CLOSED),
        ("smtpd_sender_restrictions = check_sender_access static:REJECT\n" + ONLY + "permit", State.CLOSED),
        ("smtpd_data_restrictions = reject\n" + ONLY + "permit", State.CLOSED),
        (ONLY + "check_client_access pcre:{{/\\.partner\\.test$$/ DUNNO} {/./ REJECT}}, permit", State.CLOSED),
        (ONLY + "check_client_access pcre:{{/\\.test$$/ DUNNO} {/./ REJECT}}, permit", State.DEPENDS),
        ("smtpd_delay_reject = no\nsmtpd_helo_required = yes\n"
         "smtpd_helo_restrictions = check_helo_access pcre:{{/^/ DISCARD}}\n" + ONLY + "permit", State.OPEN),
        (ONLY + "permit", State.OPEN),
        (ONLY + "reject_unknown_sender_domain", State.OPEN),
        (ONLY + "permit mynetworks, reject_unauth_destination", State.OPEN),
        (ONLY + "warn_if_reject reject_unauth_destination", State.OPEN),
        (ONLY + "check_sender_access inline:{boss@example.com=OK}, reject_unauth_destination", State.OPEN),
        (ONLY + "check_sender_access inline:{{<>=OK}}, reject_unauth_destination", State.OPEN),
        (ONLY + "check_helo_access pcre:{{/^friend\\./ OK}}, reject_unauth_destination", State.OPEN),
        (ONLY + "check_client_access inline:{unknown=OK}, reject_unauth_destination", State.OPEN),
        (ONLY + "check_client_access cidr:{{0.0.0.0/0 OK}}, reject_unauth_destination", State.OPEN),
        (ONLY + "check_reverse_client_hostname_access inline:{good.test=OK}, reject_unauth_destination", State.OPEN),
        (ONLY + "check_recipient_access static:OK, reject_unauth_destination", State.OPEN),
        (ONLY + "check_recipient_access static:trusting, reject_unauth_destination\n"
         "smtpd_restriction_classes = trusting\ntrusting = reject_non_fqdn_sender, permit", State.OPEN),
        ("smtpd_helo_restrictions = reject\n" + ONLY + "permit", State.OPEN),
        ("smtpd_delay_reject = no\nsmtpd_client_restrictions = reject_unauth_destination\n" + ONLY + "permit", State.OPEN),
        ("mynetworks = 0.0.0.0/0", State.OPEN),
        ("mynetworks = 0.0.0.0/1 128.0.0.0/1", State.OPEN),
        ("mynetworks = [::]/0", State.OPEN),
        ("mynetworks = static:all", State.OPEN),
        ("relay_domains = static:all", State.OPEN),
        ("relay_domains = regexp:{{/./ all}}", State.OPEN),
        ("relay_domains = com", State.OPEN),
        (ONLY + "check_recipient_access inline:{friend.test=OK}, reject_unauth_destination", State.NAMED),
        (ONLY + "check_policy_service inet:127.0.0.1:10023, reject_unauth_destination", State.DEPENDS),
        (ONLY + "check_sender_access tcp:127.0.0.1:9, reject_unauth_destination", State.DEPENDS),
    ],
)  # fmt: skip
def test_a_configuration_is_closed_or_the_way_in_is_shown(prove, text, state):
    proof, _ = prove(text)
    assert proof.state is state, in_words(proof)
    assert proof.session is None if state is State.CLOSED else proof.session or state is State.DEPENDS


def test_the_way_in_is_a_session_with_the_lines_that_allow_it(prove, tmp_path):
    files = {"senders": "# whom we like\nboss@example.com  OK\n"}
    text = ONLY + "\n check_sender_access texthash:@CONF@/senders\n reject_unauth_destination\n"
    proof, settings = prove(text, files)
    (tmp_path / "main.cf").write_text(BASE + text.replace("@CONF@", str(tmp_path)))
    assert list(session_lines(proof, settings)) == [
        "   a client connects from 198.51.100.7 (name unknown)",
        "C: EHLO mail.stranger-to-us.example",
        "S: 250",
        "C: MAIL FROM:<boss@example.com>",
        "S: 250 2.1.0 Ok",
        "C: RCPT TO:<somebody@elsewhere-from-us.example>",
        f"   {tmp_path}/main.cf, line 7: smtpd_recipient_restrictions: permit_mynetworks: no opinion",
        f"   {tmp_path}/main.cf, line 8: smtpd_recipient_restrictions: check_sender_access texthash:{tmp_path}/senders: permit",
        f"      table texthash:{tmp_path}/senders: boss@example.com: OK ({tmp_path}/senders, line 2)",
        "S: 250 2.1.5 Ok",
    ]


def test_a_table_that_is_not_there_proves_nothing(prove):
    proof, _ = prove(ONLY + "check_sender_access hash:/nowhere/senders, reject_unauth_destination")
    assert proof.state is State.DEPENDS
