from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocols.smtp_data import BareNewline, ChunkDecoder, DataDecoder, split_content


def decoded(data: bytes, mode: BareNewline = BareNewline.NORMALIZE, step: int = 0) -> tuple[bytes, bytes | None]:
    """(content, rest or None where the end was not seen)"""
    decoder = DataDecoder(mode)
    parts = [data] if not step else [data[i : i + step] for i in range(0, len(data), step)]
    content, rest = b"", b""
    for part in parts:
        if decoder.finished:
            rest += part
        else:
            content += decoder.feed(part)
            rest = decoder.rest
    return content, rest if decoder.finished else None


CASES = [
    (b"hi\r\n.\r\n", b"hi\n", b""),
    (b".\r\n", b"", b""),
    (b"hi\r\n..\r\n...x\r\n.y\r\n.\r\nQUIT\r\n", b"hi\n.\n..x\ny\n", b"QUIT\r\n"),
    (b"a\r\n\r\nb\r\n.\r\n", b"a\n\nb\n", b""),
    (b"a\rb\r\n.\r\n", b"a\rb\n", b""),
    (b"a\r\r\n.\r\n", b"a\n", b""),
    (b"a\0b\xff\r\n.\r\n", b"a\0b\xff\n", b""),
]


@pytest.mark.parametrize(("wire", "content", "rest"), CASES)
@pytest.mark.parametrize("step", [0, 1, 2, 3, 5])
def test_the_dot_and_the_line_ends_are_found_however_the_bytes_are_cut(wire, content, rest, step):
    assert decoded(wire, step=step) == (content, rest)


@pytest.mark.parametrize(
    "wire", [b"a\n.\nb\r\n.\r\n", b"a\n.\r\nb\r\n.\r\n", b"a\r\n.\nb\r\n.\r\n", b"a\r.\rb\r\n.\r\n"]
)
def test_only_the_standard_end_ends_a_message_so_that_nothing_can_be_smuggled(wire):
    content, rest = decoded(wire)
    assert rest == b""
    assert b"b\n" in content


def test_a_bare_newline_is_noticed_and_made_a_line_end():
    decoder = DataDecoder(BareNewline.NOTE)
    assert decoder.feed(b"a\nb\r\n.\r\n") == b"a\nb\n"
    assert decoder.bare_newline


@pytest.mark.parametrize("wire", [b"a\nb\r\r\n.\r\n", b"a\r\r\nb\nc\r\n.\r\n", b"\n.\r\r\n\r\n.\r\n"])
def test_a_bare_newline_is_noticed_beside_an_irregular_line_end(wire):
    decoder = DataDecoder(BareNewline.NOTE)
    decoder.feed(wire)
    assert decoder.bare_newline


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a"]), max_size=12).map(b"".join), st.integers(1, 4))
def test_lines_and_bare_newlines_are_counted_however_the_bytes_are_cut(wire, step):
    decoder, content = DataDecoder(BareNewline.NOTE), b""
    wire = wire.lstrip(b".") + b"\r\n.\r\n"
    for start in range(0, len(wire), step):
        if not decoder.finished:
            content += decoder.feed(wire[start : start + step])
    assert decoder.lines == content.count(b"\n")
    used = wire.partition(b"\r\n.\r\n")[0]
    assert decoder.bare_newline == (re.search(rb"(?<!\r)\n", used) is not None)


def test_without_the_protection_a_dot_between_bare_newlines_ends_the_message():
    assert decoded(b"a\n.\nNOOP\r\n", BareNewline.ALLOW) == (b"a\n", b"NOOP\r\n")


def stuffed(content: bytes) -> bytes:
    return re.sub(rb"(?m)^\.", b"..", content).replace(b"\n", b"\r\n") + b".\r\n"


@given(
    st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=8),
    st.integers(1, 9),
)
def test_what_was_stuffed_comes_back(rows, step):
    content = b"".join(row + b"\n" for row in rows)
    assert decoded(stuffed(content), step=step) == (content, b"")


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a"]), max_size=12).map(b"".join), st.integers(1, 4))
def test_cutting_changes_nothing(wire, step):
    assert decoded(wire + b"\r\n.\r\n", step=step) == decoded(wire + b"\r\n.\r\n")


@given(st.lists(st.sampled_from([b"\r", b"\n", b"a"]), max_size=12).map(b"".join), st.integers(1, 4))
def test_chunks_may_be_cut_anywhere(data, step):
    whole, cut = ChunkDecoder(), ChunkDecoder()
    expected = whole.feed(data) + whole.finish()
    assert b"".join(cut.feed(data[i : i + step]) for i in range(0, len(data), step)) + cut.finish() == expected


@pytest.mark.parametrize(
    ("content", "header", "body"),
    [
        (b"Subject: x\n\nhi\n", b"Subject: x\n", b"\nhi\n"),
        (b"Subject: x\n", b"Subject: x\n", b""),
        (b"", b"", b""),
        (b"hi\n", b"", b"\nhi\n"),
        (b"A: b\n c\n\td\nE : f\nno field\nmore\n", b"A: b\n c\n\td\nE : f\n", b"\nno field\nmore\n"),
        (b" leading\nSubject: x\n", b"", b"\n leading\nSubject: x\n"),
        (b"From me\nSubject: x\n\nhi\n", b"X-Mailbox-Line: From me\nSubject: x\n", b"\nhi\n"),
        (b"\nhi\n", b"", b"\nhi\n"),
    ],
)
def test_header_and_body_are_told_apart(content, header, body):
    assert split_content(content) == (header, body)
