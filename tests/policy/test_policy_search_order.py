"""What a table is asked about a client's certificate."""

from __future__ import annotations

import pytest

from conftest import said
from posthouse.errors import ConfigError
from posthouse.policy.search_order import CERTIFICATE, PUBLIC_KEY, table_with_order


@pytest.mark.parametrize(
    ("argument", "table", "order"),
    [
        ("hash:/x", "hash:/x", (CERTIFICATE, PUBLIC_KEY)),
        ("{ hash:/x }", "hash:/x", (CERTIFICATE, PUBLIC_KEY)),
        ("{ hash:/x, { search_order = pubkey_fingerprint } }", "hash:/x", (PUBLIC_KEY,)),
        ("{hash:/x {search_order=pubkey_fingerprint,cert_fingerprint}}", "hash:/x", (PUBLIC_KEY, CERTIFICATE)),
        ("{ hash:/x, search_order=pubkey_fingerprint }", "hash:/x", (PUBLIC_KEY,)),
        ("{ inline:{ {a = OK} }, { search_order = cert_fingerprint } }", "inline:{ {a = OK} }", (CERTIFICATE,)),
    ],
)  # fmt: skip
def test_a_table_stands_alone_or_with_what_it_is_asked(argument, table, order):
    assert table_with_order(argument) == (table, order)


@pytest.mark.parametrize(
    ("argument", "mistake"),
    [
        ("{ hash:/x, { search_order = subject } }", "unknown search type 'subject'"),
        ("{ hash:/x, { other = x } }", "unknown map attribute"),
        ("{ hash:/x, search_order = cert_fingerprint }", "malformed map attribute"),
    ],
)
async def test_a_malformed_order_is_a_server_configuration_error(open_door, argument, mistake):
    with pytest.raises(ConfigError, match=mistake):
        table_with_order(argument)
    door = open_door(f"smtpd_client_restrictions = check_ccert_access {argument}\n")
    assert await door.reply("ok@example.org") == "451 4.3.5 Server configuration error"


NOBODY = "unknown[198.51.100.7]"


async def test_only_the_fingerprints_in_the_order_are_looked_up(open_door):
    table = "inline:{ {AA = REJECT certificate}, {BB = REJECT key} }"
    for order, reason in (("", "certificate"), (PUBLIC_KEY, "key"), (f"{PUBLIC_KEY} {CERTIFICATE}", "key")):
        attribute = f", {{ search_order = {order} }}" if order else ""
        door = open_door(f"smtpd_client_restrictions = check_ccert_access {{ {table}{attribute} }}\n")
        request = door.request(recipient="ok@example.org", ccert_fingerprint="AA", ccert_pubkey_fingerprint="BB")
        assert said(await door.gate.rcpt(request)) == f"554 5.7.1 <{NOBODY}>: Client certificate rejected: {reason}"
