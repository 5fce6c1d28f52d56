from __future__ import annotations

import pytest

from posthouse.config.settings import load
from posthouse.rewrite.transport_maps import Route, parse_transport
from posthouse.rewrite.trivial_rewrite import TrivialRewrite
from posthouse.services.house import House
from posthouse.services.resolving import AddressClass
from posthouse.system.log import MemorySink

MAIN_CF = """
compatibility_level = 3.6
myhostname = mx.example.com
mydomain = example.com
myorigin = $mydomain
mydestination = $mydomain, $myhostname
inet_interfaces = 127.0.0.1
virtual_alias_domains = alias.test
virtual_mailbox_domains = box.test
relay_domains = relay.test
"""


def rewriter(directory, extra=""):
    (directory / "main.cf").write_text(MAIN_CF + extra)
    settings = load(str(directory))
    sink = MemorySink()
    return TrivialRewrite(settings, House(settings, (), sink)), sink


@pytest.mark.parametrize(
    ("address", "completed"),
    [
        ("bob", "bob@example.com"),
        ("bob@x.test", "bob@x.test"),
        ("bob@host", "bob@host.example.com"),
        ("bob@x.test.", "bob@x.test"),
        ("bob@[1.2.3.4]", "bob@[1.2.3.4]"),
        ("x.test!bob", "bob@x.test"),
        ("bob%x.test", "bob@x.test"),
        ("a!b", "b@a.example.com"),
        ("a b!c", "a b!c@example.com"),
        ("bob@", "bob@"),
        ("", ""),
        ("@", ""),
    ],
)
async def test_addresses_of_here_are_completed(tmp_path, address, completed):
    found, _ = rewriter(tmp_path, "append_dot_mydomain = yes\n")
    assert await found.rewrite("local", address) == completed


async def test_addresses_from_elsewhere_get_the_remote_domain(tmp_path):
    found, _ = rewriter(tmp_path, "remote_header_rewrite_domain = domain.invalid\n")
    assert await found.rewrite("remote", "bob") == "bob@domain.invalid"
    assert await found.rewrite("", "bob") == "bob"


@pytest.mark.parametrize(
    ("address", "transport", "nexthop", "recipient", "kind"),
    [
        ("bob@example.com", "local", "mx.example.com", "bob@example.com", AddressClass.LOCAL),
        ("bob@[127.0.0.1]", "local", "mx.example.com", "bob@[127.0.0.1]", AddressClass.LOCAL),
        ("bob", "local", "mx.example.com", "bob@mx.example.com", AddressClass.LOCAL),
        ("", "local", "mx.example.com", "MAILER-DAEMON@mx.example.com", AddressClass.LOCAL),
        (
            "u@alias.test",
            "error",
            "5.1.1 User unknown in virtual alias table",
            "u@alias.test",
            AddressClass.VIRTUAL_ALIAS,
        ),
        ("u@box.test", "virtual", "box.test", "u@box.test", AddressClass.VIRTUAL_MAILBOX),
        ("u@relay.test", "relay", "relay.test", "u@relay.test", AddressClass.RELAY),
        ("u@sub.relay.test", "relay", "sub.relay.test", "u@sub.relay.test", AddressClass.RELAY),
        ("u@other.test", "smtp", "other.test", "u@other.test", AddressClass.DEFAULT),
        ("u%other.test@example.com", "smtp", "other.test", "u@other.test", AddressClass.DEFAULT),
        ("x.test!u@example.com", "smtp", "x.test", "u@x.test", AddressClass.DEFAULT),
    ],
)
async def test_recipients_resolve_by_class(tmp_path, address, transport, nexthop, recipient, kind):
    found, _ = rewriter(tmp_path, "relay_transport = relay\nparent_domain_matches_subdomains = relay_domains\n")
    resolution = await found.resolve("", address)
    assert (resolution.transport, resolution.nexthop, resolution.recipient) == (transport, nexthop, recipient)
    assert resolution.address_class is kind
    assert not resolution.error


async def test_routes_through_us_are_marked(tmp_path):
    found, _ = rewriter(tmp_path)
    assert (await found.resolve("", "a@b@other.test")).routed
    assert not (await found.resolve("", "a@other.test")).routed


@pytest.mark.parametrize("address", ["a@1.2.3.4", "a@-x.test", "a@b..c", "-a@example.com"])
async def test_bad_syntax_is_an_error(tmp_path, address):
    found, _ = rewriter(tmp_path)
    resolution = await found.resolve("", address)
    assert (resolution.transport, resolution.error) == ("error", "5.1.3 bad address syntax")


async def test_a_domain_in_two_classes_is_warned_of(tmp_path):
    found, sink = rewriter(tmp_path, "mydestination = box.test\n")
    assert (await found.resolve("", "u@box.test")).address_class is AddressClass.LOCAL
    assert sink.lines == [
        "postfix/trivial-rewrite: warning: do not list domain box.test in BOTH mydestination and virtual_mailbox_domains"
    ]


async def test_relayhost_and_sender_tables_choose_the_next_hop(tmp_path):
    found, _ = rewriter(
        tmp_path,
        """
relayhost = [out.test]
sender_dependent_relayhost_maps = inline:{ a@s.test=[a.out.test]:587, @d.test=DUNNO, <>=[null.test] }
sender_dependent_default_transport_maps = inline:{ t@s.test=slow:[x.test] }
""",
    )
    assert (await found.resolve("x@y.test", "u@o.test")).nexthop == "[out.test]"
    assert (await found.resolve("a@s.test", "u@o.test")).nexthop == "[a.out.test]:587"
    assert (await found.resolve("x@d.test", "u@o.test")).nexthop == "[out.test]"
    assert (await found.resolve("", "u@o.test")).nexthop == "[null.test]"
    slow = await found.resolve("t@s.test", "u@o.test")
    assert (slow.transport, slow.nexthop) == ("slow", "[x.test]")


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("u+e@t.test", ("full", "h1")),
        ("u+f@t.test", ("noext", "h2")),
        ("x@t.test", ("smtp", "dom")),
        ("x@sub.t.test", ("error", "5.7.1 parents")),
        ("x@nexthop.test", ("virtual", "box.test")),
        ("x@box.test", ("virtual", "elsewhere")),
        ("x@any.test", ("wild", "any.test")),
    ],
)
async def test_transport_maps_override(tmp_path, recipient, expected):
    found, _ = rewriter(
        tmp_path,
        """
recipient_delimiter = +
transport_maps = inline:{ {u+e@t.test=full:h1}, {u@t.test=noext:h2}, {t.test=:dom}, {.t.test=error:5.7.1 parents},
  {nexthop.test=virtual:box.test}, {box.test=:elsewhere}, {*=wild:} }
""",
    )
    resolution = await found.resolve("", recipient)
    assert (resolution.transport, resolution.nexthop) == expected


def test_what_a_transport_entry_leaves_out_stays_or_is_the_domain():
    route = Route("smtp", "[relay]")
    assert parse_transport(":", "d.test", route) == route
    assert parse_transport("lmtp:", "d.test", route) == Route("lmtp", "d.test")
    assert parse_transport("error:", "d.test", route) == Route("error", "Address is undeliverable")


async def test_a_table_that_fails_is_no_answer(tmp_path):
    found, _ = rewriter(tmp_path, "transport_maps = hash:/nonexistent/table\n")
    assert (await found.resolve("", "u@other.test")).failed


async def test_moved_recipients_are_told_where(tmp_path):
    found, _ = rewriter(tmp_path, "relocated_maps = inline:{ old@example.com=new@x.test }\n")
    assert (await found.resolve("", "old@example.com")).nexthop == "5.1.6 User has moved to new@x.test"
