"""Which names of a configuration mean something."""

from __future__ import annotations

import pytest

from posthouse.config.known import references, survey
from posthouse.config.main_cf import parse_main_cf
from posthouse.config.master_cf import parse_entries

MASTER = """\
smtp inet n - n - - smtpd
  -o smtpd_client_restrictions=$mua_client_restrictions
relay unix - - n - - smtp
spf unix - n n - 0 spawn user=nobody argv=/bin/true
"""


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("nothing = 1", False),
        ("mine = 1\nrelayhost = $mine", True),
        ("mine = 1\nother = $mine\nrelayhost = ${other?x}", True),
        ("mine = 1\nother = $mine", True),
        ("greylist = permit\nsmtpd_restriction_classes = greylist, spf", True),
        ("relay_destination_recipient_limit = 1", True),
        ("nowhere_destination_recipient_limit = 1", False),
        ("spf_time_limit = 3600", True),
        ("spf_destination_recipient_limit = 1", False),
        ("virtual_maps = hash:/x", True),
        ("mua_client_restrictions = permit", True),
        ("people_server_host = ldap.example.com\nvirtual_alias_maps = proxy:ldap:people", True),
        ("people_colour = red\nvirtual_alias_maps = ldap:people", False),
    ],
)
def test_a_name_is_known_when_something_refers_to_it(line: str, known: bool) -> None:
    settings = {setting.name: setting for setting in parse_main_cf(line, "main.cf")}
    names = survey(settings, parse_entries(MASTER, "master.cf"), "main.cf", "master.cf")
    assert names.knows(next(iter(settings))) is known


def test_references_are_found_at_any_depth() -> None:
    assert list(references("$a ${b} $(c) ${d?{$e}:{x}} $$f ${{$g} == {1} ? {$h}}")) == list("abcdegh")
