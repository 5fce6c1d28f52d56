"""What the lines of a MIME message are."""

from __future__ import annotations

import io

import pytest

from posthouse.mail.mime_lines import (
    ContentType,
    Kind,
    MimeError,
    MimeRules,
    MimeWalk,
    content_type,
    without_comments,
)

RULES = MimeRules(nesting_limit=100, boundary_limit=2048, checked_limit=51_200)


def walked(primary: list[bytes], body: bytes, rules: MimeRules = RULES) -> list[tuple[str, bytes]]:
    pieces = MimeWalk(rules).pieces(primary, io.BytesIO(b"\n" + body))
    return [(kind.value, piece) for kind, piece in pieces][1:]


def kinds(primary: list[bytes], body: bytes, rules: MimeRules = RULES) -> dict[bytes, str]:
    return {piece.rstrip(b"\n"): kind for kind, piece in walked(primary, body, rules)}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"Content-Type: text/plain", ContentType(b"text", b"plain")),
        (b"content-type : Multipart/Mixed; boundary=a", ContentType(b"multipart", b"mixed", b"a")),
        (b'Content-Type: multipart/x;\n\tboundary="a\\"b c"', ContentType(b"multipart", b"x", b'a"b c')),
        (b"Content-Type: multipart/(c (d))mixed (x); (y) boundary = (z) one (w)",
         ContentType(b"multipart", b"mixed", b"one")),
        (b"Content-Type: nonsense", None),
        (b"Subject: text/plain", None),
    ],
)  # fmt: skip
def test_the_type_of_a_part(field: bytes, expected: ContentType | None) -> None:
    assert content_type(field) == expected


def test_comments_are_no_part_of_a_value_but_quoted_parentheses_are() -> None:
    assert without_comments(b'a (b (c) \\) d) "e (f)" g').split() == [b"a", b'"e', b'(f)"', b"g"]
    assert without_comments(b"a (never closed") == b"a "


def test_fields_of_parts_and_of_inner_messages_are_told_apart() -> None:
    body = (
        b"preamble\n--b\nX-Part: 1\n folded\n\ntext\n--b\nContent-Type: message/rfc822\n\n"
        b"Subject: inner\nMIME-Version: 1.0\n\ninner text\n--b--\nepilogue\n"
    )
    assert kinds([b"Content-Type: multipart/mixed; boundary=b"], body) == {
        b"preamble": "body", b"--b": "body", b"X-Part: 1\n folded": "mime", b"": "passed", b"text": "body",
        b"Content-Type: message/rfc822": "mime", b"Subject: inner": "nested", b"MIME-Version: 1.0": "mime",
        b"inner text": "body", b"--b--": "body", b"epilogue": "body",
    }  # fmt: skip


def test_parts_of_a_digest_are_messages() -> None:
    found = kinds([b"Content-Type: multipart/digest; boundary=b"], b"--b\n\nSubject: one\n\ntext\n--b--\n")
    assert found[b"Subject: one"] == "nested"


def test_the_first_of_two_types_counts() -> None:
    primary = [b"Content-Type: multipart/mixed; boundary=one", b"Content-Type: multipart/mixed; boundary=two"]
    found = kinds(primary, b"--one\nX-A: 1\n\n--two\nX-B: 2\n")
    assert (found[b"X-A: 1"], found[b"X-B: 2"]) == ("mime", "body")


def test_a_boundary_is_compared_as_far_as_the_limit_goes() -> None:
    rules = MimeRules(nesting_limit=100, boundary_limit=6, checked_limit=51_200)
    found = kinds([b"Content-Type: multipart/mixed; boundary=aabbccdd"], b"--aabbccee\nX-A: 1\n\n", rules)
    assert found[b"X-A: 1"] == "mime"


def test_of_each_part_so_many_bytes_are_for_checking() -> None:
    rules = MimeRules(nesting_limit=100, boundary_limit=99, checked_limit=10)
    body = b"123456\n123456\nno\n--b\n\n123456\n123456\nno\n--b--\n123456\nno\n"
    shown = [piece.strip() for kind, piece in walked([b"Content-Type: multipart/mixed; boundary=b"], body, rules)
             if kind == "body"]  # fmt: skip
    assert shown == [b"123456"] * 4 + [b"--b--", b"123456"]


def deep(levels: int) -> tuple[list[bytes], bytes]:
    inner = b"".join(b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (n, n + 1) for n in range(1, levels))
    return [b"Content-Type: multipart/mixed; boundary=b1"], inner


def test_multiparts_nested_too_deep_are_an_error_or_not_followed() -> None:
    rules = MimeRules(nesting_limit=3, boundary_limit=99, checked_limit=51_200)
    walked(*deep(5), rules)
    with pytest.raises(MimeError, match="MIME nesting exceeds safety limit"):
        walked(*deep(6), rules)
    forgiving = MimeRules(nesting_limit=3, boundary_limit=99, checked_limit=51_200, forgives_nesting=True)
    assert kinds(*deep(8), forgiving)[b"Content-Type: multipart/mixed; boundary=b7"] == "body"


def test_a_thousand_levels_and_ten_thousand_parts_are_walked_in_a_moment() -> None:
    with pytest.raises(MimeError, match="nesting"):
        walked(*deep(1000))
    body = b"".join(b"--b\nX-N: %d\n\ntext\n" % n for n in range(10_000))
    pieces = walked([b"Content-Type: multipart/mixed; boundary=b"], body)
    assert sum(kind == "mime" for kind, _ in pieces) == 10_000


@pytest.mark.parametrize(
    ("primary", "body", "wrong"),
    [
        ([b"Subject: \xc3\xbc"], b"", "improper use of 8-bit data in message header"),
        ([], b"\xc3\xbc\n", "improper use of 8-bit data in message body"),
        ([b"Content-Transfer-Encoding: x-odd"], b"\xc3\xbc\n", "improper use of 8-bit data in message body"),
        ([b"Content-Transfer-Encoding: 8bit"], b"\xc3\xbc\n", ""),
        ([b"Content-Transfer-Encoding: quoted-printable"], b"\xc3\xbc\n", ""),
        ([b"Content-Type: multipart/mixed; boundary=b", b"Content-Transfer-Encoding: 8bit"], b"--b\n\n\xc3\xbc\n",
         "improper use of 8-bit data in message body"),
        ([b"Content-Type: multipart/mixed; boundary=b"], b"--b\nX: \xc3\xbc\n\n",
         "improper use of 8-bit data in message header"),
        ([b"Content-Type: message/rfc822", b"Content-Transfer-Encoding: base64"], b"",
         "invalid message/* or multipart/* encoding domain"),
        ([b"Content-Type: message/partial", b"Content-Transfer-Encoding: 8bit"], b"",
         "invalid message/* or multipart/* encoding domain"),
    ],
)  # fmt: skip
def test_strict_settings(primary: list[bytes], body: bytes, wrong: str) -> None:
    names = frozenset({"strict_7bit_headers", "strict_8bitmime_body", "strict_mime_encoding_domain"})
    rules = MimeRules(nesting_limit=100, boundary_limit=99, checked_limit=51_200, strict=names)
    if wrong:
        with pytest.raises(MimeError) as error:
            walked(primary, body, rules)
        assert error.value.text == wrong
    else:
        walked(primary, body, rules)


def test_nothing_is_followed_where_that_is_switched_off() -> None:
    rules = MimeRules(nesting_limit=100, boundary_limit=99, checked_limit=51_200, follows=False)
    assert {kind for kind, _ in walked([b"Content-Type: multipart/mixed; boundary=b"], b"--b\nX-A: 1\n", rules)} == {
        Kind.BODY.value
    }


def test_a_line_in_pieces_is_one_line() -> None:
    lines = [b"\n", b"--b\n", b"\n", b"x" * 10, b"--b\n"]
    pieces = list(MimeWalk(RULES).pieces([b"Content-Type: multipart/mixed; boundary=b"], lines))
    assert pieces[-1] == (Kind.BODY, b"--b\n")
