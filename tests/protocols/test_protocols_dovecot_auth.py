from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.errors import ProtocolError
from posthouse.protocols.dovecot_auth import Cont, Fail, Greeting, Ok, auth, escape, parse_reply, unescape

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@given(TEXT)
def test_what_is_escaped_comes_back(text):
    assert unescape(escape(text)) == text
    assert not set(escape(text)) & set("\t\r\n\0")


@given(TEXT, TEXT)
def test_no_field_begins_another_field_or_line(mechanism, field):
    line = auth(1, mechanism, [field], b"x").decode()
    assert line.count("\t") == 4
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("OK\t7\tuser=joe@example.org\tproxy", Ok(7, "joe@example.org")),
        ("FAIL\t7", Fail(7)),
        ("FAIL\t7\tuser=joe\treason=no\x01tgood\ttemp", Fail(7, "joe", "no\tgood", True)),
        ("CONT\t7\tVXNlcm5hbWU6", Cont(7, b"Username:")),
        ("CONT\t7\t", Cont(7, b"")),
        ("USER\t7\tjoe", None),
    ],
)
def test_replies(line, reply):
    assert parse_reply(line) == reply


@pytest.mark.parametrize("line", ["OK\t7", "OK", "OK\tx\tuser=a", "CONT\t7\t*", "FAIL\t-1"])
def test_broken_replies_are_refused(line):
    with pytest.raises(ProtocolError):
        parse_reply(line)


def test_the_greeting_is_over_with_done():
    greeting = Greeting()
    for line in ("VERSION\t1\t2", "MECH\tPLAIN\tplaintext", "MECH\tSCRAM-SHA-256\tMUTUAL-AUTH", "SPID\t9", "DONE"):
        assert not greeting.is_complete
        greeting.take(line)
    assert greeting.is_complete
    assert [(found.name, set(found.properties)) for found in greeting.mechanisms] == [
        ("PLAIN", {"plaintext"}),
        ("SCRAM-SHA-256", {"mutual-auth"}),
    ]


def test_another_version_is_refused():
    with pytest.raises(ProtocolError, match=r"unsupported protocol version 2\.0"):
        Greeting().take("VERSION\t2\t0")
