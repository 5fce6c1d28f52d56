from __future__ import annotations

import pytest

from posthouse.protocols.smtp_address import BadAddress, extract_address, is_closed, is_ipv6

GOOD = {
    "<a@b.test>": "a@b.test",
    "a@b.test": "a@b.test",
    "<>": "",
    "x": "x",
    "<x>": "x",
    "x@example.org>": "x@example.org",
    "<@a.test,@b.test:x@example.org>": "x@example.org",
    '<"a b"@example.org>': "a b@example.org",
    '<"x\\"y"@example.org>': 'x"y@example.org',
    "<x\\@y@example.org>": "x@y@example.org",
    "<x@y@example.org>": "x@y@example.org",
    "<x@@example.org>": "x@@example.org",
    "<(c)x@example.org>": "x@example.org",
    "<x@example.org (c)>": "x@example.org",
    "<group:x@example.org;>": "x@example.org",
    "<x@example.org;>": "x@example.org",
    "<x@example.org.>": "x@example.org.",
    "<.x@example.org>": ".x@example.org",
    "<@example.org>": "@example.org",
    "<x@[127.0.0.1]>": "x@[127.0.0.1]",
    "<x@[IPv6:::1]>": "x@[IPv6:::1]",
    "<ü@example.org>": "ü@example.org",
    '<""@example.org>': "@example.org",
    "<<x@example.org>>": "x@example.org",
    "<>x": "x",
    '<"">': "",
    "()": "",
    "<;>": "",
    "<group:;@example.org>": "@example.org",
    "<x:y@example.org>": "x:y@example.org",
    "<x@example.org>,": "x@example.org",
    "Some Name <x@example.org>": "x@example.org",
    "<x@example.org@>": "x@example.org@",
    "<x%example.org@>": "x%example.org@",
    "<x@[127.0.0.1>": "x@[127.0.0.1]",
}
BAD = [
    "<a b@example.org>", "<x@[bad]>", "<x@1.2.3.4>", "<x@example.org>junk", "<x@example..org>",
    "<x@.example.org>", "<x@>", "<x@-a.org>", "<@>", "<x@example.org>,<y@example.org>",
    "<x@example.org><y@example.org>", "<x@exämple.org>", f"<x@{'a' * 64}.org>", "<x@example.org:25>",
]  # fmt: skip


@pytest.mark.parametrize(("text", "address"), GOOD.items())
def test_addresses_are_taken_as_liberally_as_postfix_does(text, address):
    assert extract_address(text) == address


@pytest.mark.parametrize("text", BAD)
def test_what_postfix_calls_bad_syntax_is_refused(text):
    with pytest.raises(BadAddress):
        extract_address(text)


@pytest.mark.parametrize(
    "text", ["a@b.test", "Foo", "a@b.test>", "<(c)a@b.test>", "<@b.test>", "<group:a@b.test;>", "<>x", "<a@b.test>,"]
)
def test_strict_envelopes_want_brackets(text):
    with pytest.raises(BadAddress):
        extract_address(text, strict=True)
    assert extract_address("<@a:a@b.test>", strict=True) == "a@b.test"
    assert extract_address("<<a@b.test>>", strict=True) == "a@b.test"


@pytest.mark.parametrize(("word", "closed"), [("<a@b.test>", True), ("<a@b.test", False), ('<"a>', False), ("a>", True),
    ("<a<b>", False), ("<a\\>", False)])  # fmt: skip
def test_brackets_and_quotes_have_to_be_closed(word, closed):
    assert is_closed(word) is closed


def test_smtputf8_allows_international_domains():
    assert extract_address("<x@exämple.org>", utf8=True) == "x@exämple.org"


@pytest.mark.parametrize(("text", "valid"), [("::", True), ("::1", True), ("1::2::3", False), ("1:2:3:4:5:6:7:8", True),
    ("1:2:3:4:5:6:7", False), ("::ffff:1.2.3.4", True), ("12345::", False), ("", False), (":::", False)])  # fmt: skip
def test_ipv6_literals(text, valid):
    assert is_ipv6(text) is valid
