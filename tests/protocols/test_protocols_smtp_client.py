"""What an SMTP server says, taken apart, and content made ready for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.errors import ProtocolError
from posthouse.protocols.smtp_client import MAX_LINE, ReplyReader, features, wire_form, xforward_text, xtext


def test_a_reply_of_many_lines_is_one_reply_and_is_shown_whole():
    [reply] = ReplyReader().feed(b"550-5.1.1 line one\r\n550-5.1.1 line two\r\n550 5.1.1 line three\r\n")
    assert (reply.code, reply.dsn, reply.is_permanent) == (550, "5.1.1", True)
    assert reply.said == "550-5.1.1 line one 550-5.1.1 line two 550 5.1.1 line three"


@given(st.lists(st.integers(1, 9), max_size=30))
def test_replies_come_out_the_same_however_they_arrive(cuts):
    wire = b"220 ready\r\n250-mx\r\n250 SIZE\r\n354 go\r\n250 2.0.0 Ok\r\n"
    reader, got, at = ReplyReader(), [], 0
    for cut in [*cuts, len(wire)]:
        got += reader.feed(wire[at : at + cut])
        at += cut
    assert [reply.code for reply in got] == [220, 250, 354, 250]


@pytest.mark.parametrize(
    ("line", "dsn"), [(b"250 ok", ""), (b"250 5.1.1 odd", ""), (b"450 4.2.0 x", "4.2.0"), (b"250", "")]
)
def test_an_enhanced_code_counts_only_when_its_class_fits(line, dsn):
    assert ReplyReader().feed(line + b"\r\n")[0].dsn == dsn


@pytest.mark.parametrize("wire", [b"hello there\r\n", b"2x0 ok\r\n", b"\x00\xff\r\n", b"2" * (MAX_LINE + 1)])
def test_what_is_no_reply_is_an_error(wire):
    reader = ReplyReader()
    assert [reply.code for reply in reader.feed(b"220 ready\r\n" + wire)] == [220]
    assert isinstance(reader.error, ProtocolError)


def test_ehlo_tells_what_the_server_can():
    [reply] = ReplyReader().feed(
        b"250-mx.example.net hello\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250-AUTH=PLAIN LOGIN\r\n"
        b"250-XFORWARD NAME ADDR\r\n250-DSN\r\n250 8bitmime\r\n"
    )
    offer = features(reply, {"dsn"})
    assert (offer.name, offer.size, offer.pipelining, offer.eight_bit_mime, offer.dsn) == (
        "mx.example.net",
        1000,
        True,
        True,
        False,
    )
    assert offer.auth == ("PLAIN", "LOGIN")
    assert offer.xforward == {"NAME", "ADDR"}


@given(st.binary(max_size=300))
def test_the_wire_form_carries_every_line_back(data):
    content = data.replace(b"\r", b"")
    wire = wire_form(content)
    assert b"\r\n.\r\n" not in b"\r\n" + wire
    lines = [line.removeprefix(b".") for line in wire.split(b"\r\n")[:-1]]
    wanted = content.split(b"\n")
    assert lines == (wanted[:-1] if content.endswith(b"\n") or not content else wanted)


def test_long_lines_are_broken_with_a_space():
    wire = wire_form(b"a" * 2500 + b"\nshort\n", 998)
    lines = wire.split(b"\r\n")
    assert [len(line) for line in lines[:3]] == [998, 998, 506]
    assert lines[1].startswith(b" ")
    assert lines[3] == b"short"


def test_text_for_parameters_is_encoded():
    assert xtext("a+b=c é") == "a+2Bb+3Dc+20+C3+A9"
    assert xforward_text("") == "[UNAVAILABLE]"
