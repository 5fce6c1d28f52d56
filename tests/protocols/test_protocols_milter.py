from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from posthouse.errors import ProtocolError
from posthouse.protocols import milter
from posthouse.protocols.milter import Event, MacroStage, Steps, Verdict


def negotiation(version, actions, steps, rest=b""):
    return milter.read_negotiation(b"O", struct.pack(">III", version, actions, steps) + rest, 6)


def test_the_offer_of_each_version_is_what_postfix_offers():
    offered = {version: struct.unpack(">III", milter.offer(version)[5:]) for version in (2, 3, 4, 6)}
    assert offered == {2: (2, 0x1FF, 0x7F), 3: (3, 0x1FF, 0x17F), 4: (4, 0x1FF, 0x37F), 6: (6, 0x1FF, 0x1FFFFF)}


def test_an_older_milter_is_not_sent_what_its_version_has_no_word_for():
    assert negotiation(2, 0x3F, 0).steps == Steps.NO_DATA | Steps.NO_UNKNOWN
    assert negotiation(3, 0x3F, 0).steps == Steps.NO_DATA
    assert negotiation(6, 0x3F, 0).steps == Steps(0)


def test_steps_that_nobody_knows_are_ignored():
    assert negotiation(6, 0x1FF, 0x400000 | 0x10).steps == Steps.NO_BODY


def test_a_milter_may_name_the_macros_it_wants():
    rest = b"\0\0\0\0j {client_ptr}\0" + b"\0\0\0\2i,{auth_type}\0" + b"\0\0\0\x63unknown stage\0"
    assert negotiation(6, 0x1FF, 0, rest).symbols == {
        MacroStage.CONNECT: ("j", "{client_ptr}"),
        MacroStage.MAIL: ("i", "{auth_type}"),
    }


def test_a_newer_version_than_ours_and_garbage_are_refused():
    with pytest.raises(ProtocolError, match="protocol version 7 conflict with MTA protocol version 6"):
        negotiation(7, 0, 0)
    with pytest.raises(ProtocolError, match='unexpected reply "X" in initial handshake'):
        milter.read_negotiation(b"X", b"", 6)


@pytest.mark.parametrize(
    ("name", "address", "packet"),
    [
        ("[198.51.100.7]", "198.51.100.7", b"C[198.51.100.7]\0004\x10\x92198.51.100.7\0"),
        ("a.test", "2001:db8::7", b"Ca.test\0006\x10\x92IPv6:2001:db8::7\0"),
        ("unknown", "unknown", b"Cunknown\0U"),
    ],
)
def test_a_client_is_told_of_with_its_family(name, address, packet):
    assert milter.connect(name, address, "4242")[4:] == packet


@given(
    some.lists(some.tuples(some.sampled_from([b"c", b"h", b"b"]), some.binary(max_size=300)), max_size=8),
    some.integers(1, 50),
)
def test_packets_come_out_as_they_went_in_however_the_stream_is_cut(packets, size):
    stream = b"".join(milter.packet(letter, data) for letter, data in packets)
    reader = milter.PacketReader()
    found = []
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])
    assert found == packets


@pytest.mark.parametrize("head", [b"\x7f\0\0\2", b"\0\0\0\0", b"\2\0\0\0"])
def test_lengths_that_cannot_be_are_noticed_before_anything_is_kept(head):
    with pytest.raises(ProtocolError, match="unreasonable packet length"):
        milter.PacketReader().feed(head)


@pytest.mark.parametrize(
    ("letter", "data", "what"),
    [
        (b"Z", b"", r"unexpected filter response \(unknown filter reply\) after event SMFIC_MAIL"),
        (b"h", b"a\0b\0", "unexpected filter response SMFIR_ADDHEADER after event SMFIC_MAIL"),
        (b"f", b"", "unexpected filter response SMFIR_CONN_FAIL after event SMFIC_MAIL"),
        (b"c", b"xyz", "reply SMFIR_CONTINUE was followed by 3 data bytes"),
        (b"y", b"550 no end", "missing string null"),
        (b"y", b"", "packet too short for string"),
    ],
)
def test_answers_that_make_no_sense_are_named(letter, data, what):
    with pytest.raises(ProtocolError, match=what):
        milter.read_response(letter, data, Event.MAIL)


def test_changes_are_taken_at_the_end_of_the_message_only():
    end = Event.END_OF_MESSAGE
    read = milter.read_response
    assert read(b"h", b"X-A\0 v\0", end) == milter.AddHeader(b"X-A", b" v")
    assert read(b"i", b"\0\0\0\3X-A\0v\0", end) == milter.InsertHeader(3, b"X-A", b"v")
    assert read(b"m", b"\0\0\0\1X-A\0\0", end) == milter.ChangeHeader(1, b"X-A", b"")
    assert read(b"b", b"", end) == milter.ReplaceBody(b"")
    assert read(b"+", b"<a@b>\0", end) == milter.AddRecipient("<a@b>")
    assert read(b"2", b"<a@b>\0NOTIFY=NEVER\0", end) == milter.AddRecipient("<a@b>", "NOTIFY=NEVER")
    assert read(b"-", b"<a@b>\0", end) == milter.DeleteRecipient("<a@b>")
    assert read(b"e", b"<a@b>\0RET=HDRS\0", end) == milter.ChangeFrom("<a@b>", "RET=HDRS")
    assert read(b"q", b"why\0", end) == milter.Quarantine("why")
    assert read(b"p", b"", end) is Verdict.PROGRESS
    for letter, data in ((b"i", b"\0\0"), (b"h", b"a\0"), (b"+", b"")):
        with pytest.raises(ProtocolError):
            read(letter, data, end)


@pytest.mark.parametrize(
    ("reply", "is_good"),
    [
        ("550 5.7.1 no", True),
        ("554 no code", True),
        ("421", True),
        ("550-5.7.1 one\r\n550 5.7.1 two", True),
        ("250 2.0.0 fine", False),
        ("550 4.0.0 of two minds", False),
        ("nonsense", False),
        ("550 5.7.1 one\r\nnonsense", False),
    ],
)
def test_only_refusals_are_replies(reply, is_good):
    assert milter.is_smtp_reply(reply) is is_good


@pytest.mark.parametrize(
    ("line", "leading", "plain"),
    [
        (b"Subject: x", (b"Subject", b" x"), (b"Subject", b"x")),
        (b"Subject:  x", (b"Subject", b"  x"), (b"Subject", b" x")),
        (b"X-Empty:", (b"X-Empty", b""), (b"X-Empty", b"")),
        (b"X-Folded: a\n\tb", (b"X-Folded", b" a\n\tb"), (b"X-Folded", b"a\n\tb")),
    ],
)
def test_values_of_fields_come_with_the_space_after_the_colon_to_those_who_ask_for_it(line, leading, plain):
    assert milter.split_header(line, leading_space=True) == leading
    assert milter.split_header(line, leading_space=False) == plain
