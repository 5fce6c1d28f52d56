"""Bad headers, by the kinds, the order and the words of amavisd 2.13, which was asked about each of these."""

from __future__ import annotations

import time

import pytest

from posthouse.filters.scanner.bad_header import check

GOOD = b"Date: x\nFrom: y\nSubject: z\n"


@pytest.mark.parametrize(
    ("header", "fault", "text"),
    [
        (
            b"X-Bad: caf\xe9 here\n",
            2,
            r"Non-encoded non-ASCII data (and not UTF-8) (char E9 hex): X-Bad: caf\x{E9} here",
        ),
        (b"X-Nul: a\0b\n", 3, "Improper use of control character (char 00 hex): X-Nul: a b"),
        (
            b"X-Fold: a\n \n b\n",
            4,
            "Improper folded header field made up entirely of whitespace (char 20 hex): X-Fold: a",
        ),
        (b"X-Long: " + b"x" * 1100 + b"\n", 5, f"Header line longer than 998 characters: X-Long: {'x' * 42}[...]"),
        (b"X Bad Syntax: foo\n", 6, "Invalid header field syntax: X Bad Syntax: foo"),
        (b"To: a\nTo: b\n", 8, 'Duplicate header field: "To"'),
        (b"subject: twice\n", 8, 'Duplicate header field: "Subject"'),
        (b"Content-Type: multipart/mixed\n", 1, "MIME error: error: multipart boundary is missing"),
        (
            b"X-A: \xe9\nX-B: a\0\nSubject: a\n",
            8,
            r"Non-encoded non-ASCII data (and not UTF-8) (char E9 hex): X-A: \x{E9}",
        ),
    ],
)
def test_faults(header, fault, text):
    found = check(GOOD + header)
    assert (found.fault, found.text) == (fault, text)


def test_mail_without_date_or_sender_lacks_them():
    assert check(b"Subject: x\n").text == 'Missing required header field: "Date"'
    assert check(b"Date: x\n").text == 'Missing required header field: "From"'


def test_good_headers_are_good():
    assert check(GOOD) is None
    assert (
        check(GOOD + b"X-U: caf\xc3\xa9\nReceived: a\n\tb\nReceived: c\nContent-Type: multipart/mixed;\n boundary=b\n")
        is None
    )


@pytest.mark.parametrize(
    "header",
    [b"X: " + b"a" * 1_000_000 + b"\n", b"Content-Type: multipart/x;" + b" a\n" * 300_000, b"\xe9\n" * 300_000,
     b"Content-Type: a/b;" + b'"' * 500_000 + b"\n", b"Content-Type: a/b" + b"; name=" * 100_000 + b"\n"],
)  # fmt: skip
def test_a_megabyte_of_header_is_checked_in_no_time(header):
    began = time.process_time()
    assert check(header) is not None
    assert time.process_time() - began < 5
