"""Lists of clients and recipients in postgrey's formats; the answers are those of postgrey 1.37."""

from __future__ import annotations

import pytest

from posthouse.policy.greylist.whitelist import open_files, own_list, read_clients, read_recipients

CLIENTS = r"""
# a comment
dom.test
.dotdom.test
sub.dom2.test   # trailing comment
  indented.test
UPPER.Test
/^Mixed\.tesT$/
/two/three/
192.168.2.234
10.7.7
10.8
172.16.0.0/30
2001:db8::1
2001:db8:5::/48
me@example.com
"""
RECIPIENTS = r"""
postmaster@
name@dom2.test
dom.test
.dot.test
/^re.*@x\.test$/
foo+bar@
UPPER@
local
"""


@pytest.mark.parametrize(
    "name",
    [
        "dom.test",
        "sub.dom.test",
        "DOM.TEST",
        "sub.dom2.test",
        "indented.test",
        "upper.test",
        "mixed.test",
        "two/three",
        "me@example.com",
    ],
)
def test_a_name_on_the_list_is_left_alone(name):
    assert read_clients([("f", CLIENTS.splitlines())]).has(name, "9.9.9.9")


@pytest.mark.parametrize("name", ["notdom.test", "dotdom.test", "a.dotdom.test", "dom2.test", "mixed.testx", "unknown"])
def test_a_name_that_only_looks_alike_is_not(name):
    assert not read_clients([("f", CLIENTS.splitlines())]).has(name, "9.9.9.9")


@pytest.mark.parametrize("address", ["192.168.2.234", "10.7.7.1", "172.16.0.3", "2001:db8::1", "2001:db8:5:1::1"])
def test_an_address_on_the_list_is_left_alone(address):
    assert read_clients([("f", CLIENTS.splitlines())]).has("unknown", address)


@pytest.mark.parametrize(
    "address", ["192.168.2.23", "10.7.77.1", "10.8.1.1", "172.16.0.4", "2001:db8::2", "2001:db8:6::1", "x"]
)
def test_an_address_outside_is_not(address):
    assert not read_clients([("f", CLIENTS.splitlines())]).has("unknown", address)


@pytest.mark.parametrize(
    "address",
    [
        "postmaster@a",
        "Postmaster@a",
        "postmaster+x@a",
        "name@dom2.test",
        "name+y@dom2.test",
        "x@dom.test",
        "x@sub.dom.test",
        "re1@x.test",
        "RE1@x.test",
        "foo+bar@a",
        "foo+bar+baz@a",
        "upper@a",
        "UPPER@a",
        "x@local",
    ],
)
def test_a_recipient_on_the_list_is_left_alone(address):
    assert read_recipients([("f", RECIPIENTS.splitlines())]).has(address)


@pytest.mark.parametrize(
    "address", ["postmasterx@a", "name@x.test", "x@dot.test", "x@s.dot.test", "foo@a", "local@a", "local", "postmaster"]
)
def test_a_recipient_that_only_looks_alike_is_not(address):
    assert not read_recipients([("f", RECIPIENTS.splitlines())]).has(address)


def test_lines_that_mean_nothing_are_named_once_and_the_rest_counts():
    clients = read_clients([("file", ["two words\n", "/bad(re/\n", "!not\n", "good.test\n"])])
    assert [problem.partition(":")[0] for problem in clients.problems] == ["file line 1", "file line 2", "file line 3"]
    assert clients.has("good.test", "1.2.3.4")
    assert read_recipients([("file", ["two words\n"])]).problems == ["file line 1: doesn't look like an address"]


def test_a_missing_file_is_told_unless_it_may_be_missing(tmp_path):
    found, problems = open_files([str(tmp_path / "a")], [str(tmp_path / "b")])
    assert not found
    assert problems == [f"can't open {tmp_path / 'a'}: No such file or directory"]


def test_our_own_lists_make_sense():
    clients, recipients = read_clients(own_list("clients")), read_recipients(own_list("recipients"))
    assert not clients.problems + recipients.problems
    assert clients.has("mail-wr1-f41.google.com", "209.85.221.41")
    assert recipients.has("postmaster@example.org")
