"""smtp_tls_per_site: the levels of next hop and host together, and those of main.cf."""

from __future__ import annotations

import pytest

from posthouse.config.settings import from_text
from posthouse.deliver.smtp.tls_per_site import SiteUnknown
from posthouse.deliver.smtp.tls_policy import TlsPolicies
from posthouse.deliver.smtp.tls_policy_row import BadPolicy
from posthouse.system.log import DaemonLog, MemorySink

TABLE = (
    "smtp_tls_per_site = inline:{ {none=NONE} {may=may} {nopeer=MUST_NOPEERMATCH} {must=MUST} {[must]:25=MUST} "
    "{odd=ENCRYPT} }\n"
)


async def level(next_hop, host, main_cf="", table=TABLE, sink=None):
    policies = TlsPolicies(from_text(table + main_cf), "smtp", DaemonLog("postfix/smtp", sink or MemorySink()))
    assert not policies.never
    return (await policies.demand(next_hop, host)).level.word


@pytest.mark.parametrize("usual", ["", "smtp_tls_security_level = may\n", "smtp_enforce_tls = yes\n"])
@pytest.mark.parametrize(
    ("next_hop", "host", "wanted"),
    [
        ("none", "other", "none"),
        ("none", "may", "none"),
        ("may", "none", "none"),
        ("nopeer", "may", "encrypt"),
        ("none", "nopeer", "encrypt"),
        ("must", "nopeer", "verify"),
        ("may", "must", "verify"),
        ("[must]:25", "other", "verify"),
    ],
)  # fmt: skip
async def test_next_hop_and_host_together_say_more_than_main_cf(next_hop, host, wanted, usual):
    assert await level(next_hop, host, usual) == wanted


@pytest.mark.parametrize(
    ("main_cf", "unnamed", "welcome"),
    [
        ("", "none", "may"),
        ("smtp_use_tls = yes\n", "may", "may"),
        ("smtp_enforce_tls = yes\n", "verify", "verify"),
        ("smtp_tls_security_level = encrypt\n", "encrypt", "encrypt"),
    ],
)
async def test_who_is_not_named_or_may_has_what_main_cf_says(main_cf, unnamed, welcome):
    assert (await level("other", "other", main_cf), await level("may", "other", main_cf)) == (unnamed, welcome)


async def test_words_that_there_are_not_and_tables_that_fail_let_the_mail_wait():
    sink = MemorySink()
    with pytest.raises(BadPolicy):
        await level("other", "odd", sink=sink)
    with pytest.raises(SiteUnknown):
        await level("x.test", "", table="smtp_tls_per_site = fail:down\n", sink=sink)
    assert [line.partition("warning: ")[2] for line in sink.lines] == [
        "smtp_tls_per_site: unknown TLS policy 'ENCRYPT' for server hostname odd",
        'fail:down lookup error for "x.test"',
        'smtp_tls_per_site: next-hop destination "x.test": per-site table lookup error',
    ]


async def test_policies_come_before_the_old_table():
    sink = MemorySink()
    assert await level("must", "must", "smtp_tls_policy_maps = inline:{ x.test=may }\n", sink=sink) == "none"
    assert sink.lines[0].endswith("smtp_tls_per_site ignored when smtp_tls_policy_maps is not empty.")
