"""The milter protocol from the milter's side: what one side writes, the other reads."""

from __future__ import annotations

import struct

import pytest

from posthouse.errors import ProtocolError
from posthouse.protocols import milter, milter_server
from posthouse.protocols.milter import Actions, Event, Steps, Verdict


def packets(data):
    return milter.PacketReader().feed(data)


def told(data):
    (packet,) = packets(data)
    return milter_server.read_told(*packet)


@pytest.mark.parametrize("version", [2, 3, 4, 6])
def test_an_offer_is_agreed_upon(version):
    agreed = milter_server.agree(packets(milter.offer(version))[0][1])
    negotiated = milter.read_negotiation(*packets(agreed.packet())[0], version)
    assert negotiated.version == version
    assert (
        negotiated.actions
        == Actions.ADD_HEADERS | Actions.CHANGE_HEADERS | Actions.DELETE_RECIPIENTS | Actions.QUARANTINE
    )
    assert agreed.answers(Event.END_OF_MESSAGE)
    assert agreed.answers(Event.BODY) is (version < 6)
    assert agreed.leading_space is (version == 6)
    assert negotiated.steps & Steps.NO_UNKNOWN


def test_a_newer_version_than_is_known_is_answered_with_the_newest_that_is():
    assert milter_server.agree(struct.pack(">III", 7, 0x1FF, 0x1FFFFF)).version == 6


@pytest.mark.parametrize(
    ("packet", "value"),
    [
        (milter.connect("a.b", "192.0.2.1", "99"), milter_server.Client("a.b", "192.0.2.1", "99")),
        (milter.connect("a.b", "2001:db8::1", "99"), milter_server.Client("a.b", "2001:db8::1", "99")),
        (milter.connect("local", "", ""), milter_server.Client("local", "", "")),
        (milter.packet(b"H", milter.text("x")), milter_server.Words(Event.HELO, ("x",))),
        (milter.packet(b"M", milter.text("<a@b>", "SIZE=1")), milter_server.Words(Event.MAIL, ("<a@b>", "SIZE=1"))),
        (milter.macros(Event.MAIL, [("i", "Q"), ("{auth}", "x")]), milter_server.Macros({"i": "Q", "auth": "x"})),
        (milter.macros(Event.DATA, []), milter_server.Macros({})),
        (milter.header(b"Subject", b" x\n y"), milter_server.Field(b"Subject", b" x\n y")),
        (milter.packet(b"B", b"x\0y"), milter_server.Body(b"x\0y")),
        (milter.packet(b"E"), milter_server.Body(b"", is_last=True)),
        (milter.packet(b"N"), milter_server.Plain(Event.END_OF_HEADER)),
        (milter.packet(b"T"), milter_server.Plain(Event.DATA)),
        (milter.packet(b"A"), milter_server.Abort()),
        (milter.packet(b"Q"), milter_server.Quit()),
        (milter.packet(b"K"), milter_server.Quit(is_reused=True)),
    ],
)
def test_what_the_server_tells_is_read(packet, value):
    assert told(packet) == value


@pytest.mark.parametrize(
    ("packet", "value"),
    [
        (milter_server.answer(Verdict.DISCARD), Verdict.DISCARD),
        (milter_server.insert_field(2, "A", " b"), milter.InsertHeader(2, b"A", b" b")),
        (milter_server.add_field("A", "b"), milter.AddHeader(b"A", b"b")),
        (milter_server.change_field(3, b"A", b""), milter.ChangeHeader(3, b"A", b"")),
        (milter_server.delete_recipient("<a@b>"), milter.DeleteRecipient("<a@b>")),
        (milter_server.quarantine("why"), milter.Quarantine("why")),
    ],
)
def test_what_is_answered_is_understood(packet, value):
    assert milter.read_response(*packets(packet)[0], Event.END_OF_MESSAGE) == value


def test_a_reply_with_a_percent_sign_arrives_with_one():
    said = milter.read_response(*packets(milter_server.reply_code("554 5.7.1 50% spam"))[0], Event.END_OF_MESSAGE)
    assert milter.unescape_percent(said.text) == "554 5.7.1 50% spam"


@pytest.mark.parametrize(
    ("letter", "data"), [(b"Z", b""), (b"L", b"a\0"), (b"L", b"a"), (b"C", b"a\0"), (b"C", b"a"), (b"M", b"")]
)
def test_rubbish_is_refused(letter, data):
    with pytest.raises(ProtocolError):
        milter_server.read_told(letter, data)


@pytest.mark.parametrize("data", [b"", struct.pack(">III", 1, 0, 0)])
def test_an_offer_that_is_none_is_refused(data):
    with pytest.raises(ProtocolError):
        milter_server.agree(data)
