from __future__ import annotations

import pytest

from posthouse.config.settings import load
from posthouse.deliver.smtp.tls_policy import TlsPolicies
from posthouse.deliver.smtp.tls_policy_row import BadPolicy, Level, parse_row
from posthouse.errors import ConfigError
from posthouse.system.log import DaemonLog, MemorySink


@pytest.fixture
def asked(tmp_path):
    """Asks for what a main.cf demands of a next hop; .log is what was said."""

    def ask(next_hop, main_cf):
        (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n" + main_cf)
        sink = MemorySink()
        policies = TlsPolicies(load(str(tmp_path)), "smtp", DaemonLog("postfix/smtp", sink))
        ask.log = sink.lines
        return policies.demand(next_hop)

    return ask


@pytest.mark.parametrize(
    ("next_hop", "level"),
    [
        ("example.com", Level.VERIFY),
        ("EXAMPLE.com", Level.VERIFY),
        ("a.b.example.com", Level.ENCRYPT),
        ("other.test", Level.MAY),
        ("[example.com]", Level.MAY),
        ("[mx.example.com]:587", Level.SECURE),
        ("[mx.example.com]", Level.MAY),
        ("example.com:26", Level.NONE),
        ("sub.example.com:26", Level.MAY),
    ],
)
async def test_the_row_of_the_destination_counts_and_of_its_parents_where_it_is_a_bare_domain(asked, next_hop, level):
    table = "{ {example.com=verify}, {.example.com=encrypt}, {[mx.example.com]:587=secure}, {example.com:26=none} }"
    main_cf = f"smtp_tls_security_level = may\nsmtp_tls_policy_maps = inline:{table}\n"
    assert (await asked(next_hop, main_cf)).level is level


async def test_what_a_row_does_not_say_main_cf_says(asked):
    main_cf = (
        "smtp_tls_policy_maps = inline:{ {a.test = secure match=mx.a.test:.a.test ciphers=high connection_reuse=yes} }\n"
        "smtp_tls_mandatory_protocols = TLSv1.3\nsmtp_tls_protocols = TLSv1.2\nsmtp_tls_mandatory_exclude_ciphers = RC4\n"
        "smtp_tls_exclude_ciphers = DES\nsmtp_tls_verify_cert_match = hostname, .b.test\nsmtp_tls_security_level = verify\n"
    )
    demand = await asked("a.test", main_cf)
    assert (demand.match, demand.ciphers, demand.reuses) == (("mx.a.test", ".a.test"), "high", True)
    assert (demand.protocols, demand.exclude) == ("TLSv1.3", ("DES", "RC4"))
    demand = await asked("[b.test]:25", main_cf)
    assert (demand.match, demand.ciphers, demand.reuses) == (("hostname", ".b.test"), "medium", False)
    assert demand.domain == "b.test"


async def test_dane_without_dnssec_is_a_warning_and_no_more_than_may(asked):
    assert (await asked("a.test", "smtp_tls_security_level = dane\n")).level is Level.MAY
    assert "a.test: dane configured with dnssec lookups disabled" in asked.log[0]
    with pytest.raises(BadPolicy):
        await asked("a.test", "smtp_tls_security_level = dane-only\n")


@pytest.mark.parametrize(
    "level", ["smtp_tls_security_level = dane", "smtp_tls_policy_maps = inline:{ {a.test=dane-only} }"]
)
async def test_dane_with_dnssec_makes_mail_wait_until_it_is_built(asked, level):
    with pytest.raises(BadPolicy):
        await asked("a.test", f"smtp_dns_support_level = dnssec\n{level}\n")
    assert "is not built yet; use secure, verify or fingerprint" in asked.log[0]


def test_a_level_that_there_is_not_is_a_mistake_in_main_cf(asked):
    with pytest.raises(ConfigError, match="invalid TLS security level: bogus"):
        asked("a.test", "smtp_tls_security_level = bogus\n")


async def test_a_table_that_does_not_answer_is_no_permission_to_go_in_clear(asked):
    with pytest.raises(BadPolicy):
        await asked("a.test", "smtp_tls_policy_maps = fail:broken\n")
    assert "policy table lookup error" in asked.log[-1]


@pytest.mark.parametrize("words", ["", "AB:XY", "|"])
async def test_the_level_fingerprint_wants_a_fingerprint(asked, words):
    with pytest.raises(BadPolicy):
        await asked("a.test", f"smtp_tls_security_level = fingerprint\nsmtp_tls_fingerprint_cert_match = {words}\n")
    assert "configured at fingerprint security level, but with no fingerprints to match" in asked.log[-1]


async def test_fingerprints_are_read_with_colons_and_without(asked):
    main_cf = "smtp_tls_policy_maps = inline:{ {a.test = fingerprint match=ab:cd|EF01} }\n"
    assert (await asked("a.test", main_cf)).match == ("AB:CD", "EF:01")


@pytest.mark.parametrize(
    ("value", "trouble"),
    [
        ("", "invalid empty policy"),
        (" , ", "invalid empty policy"),
        ("bogus", 'invalid security level "bogus"'),
        ("encrypt colour=blue", 'invalid attribute name: "colour"'),
        ("encrypt match", "malformed attribute/value pair \"match\": missing '=' after attribute name"),
        ("encrypt =x", 'malformed attribute/value pair "=x": missing attribute name'),
        ("may match=a", 'attribute "match" invalid at security level "may"'),
        ("dane-only match=a", 'attribute "match" invalid at security level "dane-only"'),
        ("verify match=", 'attribute "match" has empty value'),
        ("encrypt ciphers=high ciphers=low", 'attribute "ciphers" is specified multiple times'),
        ("encrypt exclude=a exclude=b", 'attribute "exclude" is specified multiple times'),
        ("encrypt servername=-a", '"servername=-a" specifies an invalid hostname'),
        ("fingerprint tafile=/x", 'attribute "tafile" invalid at security level "fingerprint"'),
        ("encrypt connection_reuse=perhaps", 'attribute "connection_reuse" has bad value: "perhaps"'),
    ],
)
def test_what_is_wrong_with_a_row_is_named(value, trouble):
    with pytest.raises(BadPolicy) as caught:
        parse_row(value)
    assert str(caught.value) == trouble


def test_attributes_without_tls_are_overlooked_aloud():
    policy, notes = parse_row("none ciphers=high, what=ever")
    assert policy.level is Level.NONE
    assert notes == [f'ignoring attribute "{word}" with TLS disabled' for word in ("ciphers=high", "what=ever")]
