"""8-bit content for servers that know only seven bits."""

from __future__ import annotations

import email
import quopri

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.mime_downgrade import downgrade, quoted_printable


@given(st.binary(max_size=400))
def test_quoted_printable_comes_back_and_keeps_its_lines_short(data):
    coded = quoted_printable(data)
    assert quopri.decodestring(coded) == data
    assert all(len(line) <= 76 for line in coded.split(b"\n"))


def test_a_plain_text_is_encoded_and_says_so():
    header, body = downgrade(b"Subject: x\nContent-Transfer-Encoding: 8bit\n", "\ntäxt\n".encode())
    assert header == b"Subject: x\nContent-Transfer-Encoding: quoted-printable\n"
    assert body == b"\nt=C3=A4xt\n"


def test_only_the_parts_that_need_it_change_and_inner_messages_too():
    text = (
        "\npre\n--xx\nContent-Type: text/plain\n\nascii\n--xx\nContent-Transfer-Encoding: 8bit\n\ntäxt\n"
        "--xx\nContent-Type: message/rfc822\n\nSubject: a\nContent-Transfer-Encoding: 8bit\n\nöö\n--xx--\n"
    )
    header, body = downgrade(b'Content-Type: multipart/mixed;\n boundary="xx"\n', text.encode())
    assert body.isascii()
    parts = email.message_from_bytes(header + body).get_payload()
    assert parts[0].get_payload() == "ascii"
    assert parts[1].get_payload(decode=True).decode() == "täxt"
    assert parts[2].get_payload()[0].get_payload(decode=True).decode() == "öö"


def test_what_does_not_say_that_it_is_eight_bit_is_left_alone():
    assert downgrade(b"A: b\n", "\ntäxt\n".encode()) == (b"A: b\n", "\ntäxt\n".encode())


def test_a_compound_part_is_not_given_an_encoding_that_it_had_not():
    header, _ = downgrade(b"Content-Type: multipart/mixed; boundary=x\n", "\n--x\n\ntäxt\n--x--\n".encode())
    assert header == b"Content-Type: multipart/mixed; boundary=x\n"


def test_ascii_is_left_alone():
    assert downgrade(b"A: b\n", b"\ntext\n") == (b"A: b\n", b"\ntext\n")


def test_what_says_that_it_is_8bit_is_encoded_too():
    wide = b"Content-Transfer-Encoding: 8bit\n"
    assert downgrade(wide, b"\na=b\n") == (b"Content-Transfer-Encoding: quoted-printable\n", b"\na=3Db\n")
    header, body = downgrade(
        b"Content-Type: multipart/report; boundary=xx\n" + wide + b"Message-Id: <x>\n",
        b"\n--xx\n"
        + wide
        + b"\na=b\n--xx\n\na=b\n--xx\nContent-Type: message/rfc822\n"
        + wide
        + b"\nS: x\n\ny\n--xx--\n",
    )
    assert header == (
        b"Content-Type: multipart/report; boundary=xx\nMessage-Id: <x>\nContent-Transfer-Encoding: 7bit\n"
    )
    assert body == (
        b"\n--xx\nContent-Transfer-Encoding: quoted-printable\n\na=3Db\n--xx\n\na=b\n"
        b"--xx\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nS: x\n\ny\n--xx--\n"
    )
