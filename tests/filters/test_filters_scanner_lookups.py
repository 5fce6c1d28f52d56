"""amavisd's lookups, with the examples of its README.lookups."""

from __future__ import annotations

import pytest

from filters.amavisd_scene import conf_of
from posthouse.errors import LookupFailed
from posthouse.filters.scanner.lookups import AccessList, ByAddress, is_true, lookup_of
from posthouse.filters.scanner.perl_values import NotSimple


@pytest.mark.parametrize(
    ("words", "address", "value"),
    [
        ("me.ac.uk !.ac.uk .uk", "u@me.ac.uk", 1.0),
        ("me.ac.uk !.ac.uk .uk", "u@you.ac.uk", 0.0),
        ("me.ac.uk !.ac.uk .uk", "u@them.co.uk", 1.0),
        ("me.ac.uk !.ac.uk .uk", "u@some.com", None),
        ("me.ac.uk !.ac.uk .uk !.", "u@some.com", 0.0),
        ("!The.Boss@dept1.xxx.com .dept1.xxx.com", "the.boss@DEPT1.xxx.com", 0.0),
        ("!The.Boss@dept1.xxx.com .dept1.xxx.com", "x@a.dept1.xxx.com", 1.0),
        (".example.org", "a@badexample.org", None),
    ],
)
def test_lists_say_yes_no_or_nothing(words, address, value):
    assert AccessList(tuple(words.split())).find(address) == value


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("user+foo@sub.example.com", True), ("user@sub.example.com", True), ("user+foo@", True), ("user@", True),
        ("sub.example.com", True), (".sub.example.com", True), (".example.com", True), (".com", True), (".", True),
        ("example.com", False), ("other@sub.example.com", False),
    ],
)  # fmt: skip
def test_hashes_are_asked_from_the_address_down_to_the_dot(key, found):
    assert (ByAddress({key: "x"}, "+").find("User+foo@Sub.Example.com") == "x") is found


def test_without_a_delimiter_an_extension_is_part_of_the_name():
    assert ByAddress({"user@b": 1.0}).find("user+x@b") is None


def test_tables_are_asked_in_their_order_and_undef_asks_the_next():
    conf = conf_of(
        "%spam_lovers = ('a@b' => undef, '.c' => 0); @spam_lovers_acl = qw(a@b);"
        "$spam_lovers_re = new_RE( qr'^boss@'i, [qr'^x@y$' => 'no'] );"
    )
    lookup = lookup_of(conf, "spam_lovers_maps")
    assert [lookup.holds(address) for address in ("a@b", "q@c", "BOSS@z", "n@z")] == [True, False, True, False]
    assert lookup.find("x@y") == "no"


def test_what_a_reference_leads_to_may_be_set_later():
    conf = conf_of("@spam_kill_level_maps = ({'vip@b' => 99}, \\$sa_kill_level_deflt); $sa_kill_level_deflt = 7;")
    lookup = lookup_of(conf, "spam_kill_level_maps")
    assert (lookup.find("vip@b"), lookup.find("a@b")) == (99.0, 7.0)


def test_a_pattern_that_costs_too_much_fails_and_does_not_hang():
    lookup = lookup_of(conf_of("@spam_lovers_maps = (new_RE(qr'^(a+)+$'));"), "spam_lovers_maps")
    with pytest.raises(LookupFailed, match="limit"):
        lookup.holds("a" * 5000 + "b")


def test_a_pattern_that_is_none_is_an_error():
    with pytest.raises(NotSimple, match="regex"):
        lookup_of(conf_of("@spam_lovers_maps = (new_RE(qr'('));"), "spam_lovers_maps")


@pytest.mark.parametrize(
    ("value", "truth"), [(None, False), (0.0, False), ("0", False), ("", False), (1.0, True), ("00", True)]
)
def test_what_is_true_in_perl(value, truth):
    assert is_true(value) is truth
