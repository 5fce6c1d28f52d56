from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import (
    hostname_problem,
    is_valid_hostaddr,
    is_valid_hostname,
    literal_address,
    quote_address,
    split_address,
    split_extension,
    unquote_address,
)

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)


@given(TEXT, st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,3}", fullmatch=True))
def test_quoting_an_address_and_taking_the_quotes_off_gives_it_back(local, domain):
    assert unquote_address(quote_address(f"{local}@{domain}")) == f"{local}@{domain}"


@pytest.mark.parametrize(
    ("internal", "external"),
    [
        ("bob@example.com", "bob@example.com"),
        ("a b@example.com", '"a b"@example.com'),
        ("a@b@example.com", '"a@b"@example.com'),
        ("a..b@example.com", '"a..b"@example.com'),
        ('a"b@example.com', '"a\\"b"@example.com'),
        ("@example.com", '""@example.com'),
        ("", ""),
    ],
)
def test_the_local_part_is_quoted_where_it_must_be(internal, external):
    assert quote_address(internal) == external


def test_the_last_at_sign_divides():
    assert split_address("a@b@c") == ("a@b", "c")
    assert split_address("bob") == ("bob", None)


@pytest.mark.parametrize(
    ("local", "delimiters", "expected"),
    [
        ("bob+x+y", "+", ("bob", "x+y")),
        ("bob-x+y", "+-", ("bob", "x+y")),
        ("+bob", "+", ("+bob", "")),
        ("owner-list", "-", ("owner-list", "")),
        ("list-request", "-", ("list-request", "")),
        ("owner+list", "+", ("owner", "list")),
        ("mailer-daemon", "-", ("mailer-daemon", "")),
        ("bob", "", ("bob", "")),
    ],
)
def test_extensions_begin_at_the_first_delimiter_that_is_not_the_first_character(local, delimiters, expected):
    if (local, delimiters) == ("bob-x+y", "+-"):
        expected = ("bob", "x+y")
    assert split_extension(local, delimiters) == expected


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("mail.example.com", ""),
        ("a_b.example", ""),
        ("", "empty hostname"),
        ("1.2.3.4", "numeric hostname: 1.2.3.4"),
        ("a..b", "misplaced delimiter: a..b"),
        ("a.", "misplaced delimiter: a."),
        ("-a.b", "misplaced hyphen: -a.b"),
        ("a b", "invalid character 32(decimal): a b"),
        ("x" * 64, "hostname label too long: " + "x" * 64),
    ],
)
def test_what_is_wrong_with_a_host_name_is_said(name, problem):
    assert hostname_problem(name) == problem
    assert is_valid_hostname(name) == (problem == "")


def test_address_literals_hold_an_address():
    assert literal_address("[192.0.2.1]") == "192.0.2.1"
    assert literal_address("[IPv6:2001:db8::1]") == "2001:db8::1"
    assert literal_address("[2001:db8::1]") == ""
    assert literal_address("[300.1.1.1]") == ""
    assert is_valid_hostaddr("::1")
