"""What spamd and clamd say, and what they do not say."""

from __future__ import annotations

import pytest

from posthouse.errors import ProtocolError
from posthouse.protocols import clamd, spamd


def test_spamd_is_asked_with_the_user_whose_preferences_apply():
    assert spamd.request(5) == b"SYMBOLS SPAMC/1.5\r\nContent-length: 5\r\n\r\n"
    assert spamd.request(5, "joe") == b"SYMBOLS SPAMC/1.5\r\nContent-length: 5\r\nUser: joe\r\n\r\n"
    assert b"User" not in spamd.request(5, "joe\r\nX: y")


def test_spamd_is_understood():
    data = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 19\r\nSpam: True ; 1000.0 / 5.0\r\n\r\nGTUBE,NO_RECEIVED\r\n"
    answer = spamd.answer(data)
    assert (answer.is_spam, answer.score, answer.required, answer.tests) == (
        True,
        1000.0,
        5.0,
        ("GTUBE", "NO_RECEIVED"),
    )
    assert spamd.answer(b"SPAMD/1.5 0 EX_OK\r\nSpam: False ; -1.9 / 5.0\r\n\r\n").score == -1.9


def test_names_that_are_none_do_not_get_into_a_header():
    assert spamd.answer(b"SPAMD/1.1 0 EX_OK\r\nSpam: No ; 1 / 5\r\n\r\nA,\r\nBcc: x\n\0B]").tests == (
        "A",
        "Bcc",
        "x",
        "B",
    )


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SPAMD/1.1 76 Bad header\r\n", b"SPAMD/1.1 0 EX_OK\r\n\r\n",
     b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 1.2.3 / 5\r\n\r\n", b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; - / 5\r\n\r\n"],
)  # fmt: skip
def test_spamd_that_says_something_else_is_an_error(data):
    with pytest.raises(ProtocolError):
        spamd.answer(data)


def test_clamd_is_understood():
    assert clamd.answer(b"stream: OK\0") == ""
    assert clamd.answer(b"stream: Eicar-Test-Signature FOUND\0") == "Eicar-Test-Signature"
    assert clamd.answer(b"stream: Eicar(44d88612fea8a8f36de82e1278abb02f:68) FOUND\0") == "Eicar"
    with pytest.raises(clamd.TooLarge):
        clamd.answer(b"INSTREAM size limit exceeded. ERROR\0")


@pytest.mark.parametrize("data", [b"", b"stream: Can't open file ERROR\0", b"stream:  FOUND", b"\xff\xfe"])
def test_clamd_that_says_something_else_is_an_error(data):
    with pytest.raises(ProtocolError):
        clamd.answer(data)


def test_a_name_of_a_virus_is_printable():
    assert clamd.answer(b"stream: a\tb FOUND") == "a?b"


def test_pongs():
    spamd.pong(b"SPAMD/1.5 0 PONG\r\n")
    clamd.pong(b"PONG\0")
    for check in (spamd.pong, clamd.pong):
        with pytest.raises(ProtocolError):
            check(b"no")
