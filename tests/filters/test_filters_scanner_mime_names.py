"""Names and types of MIME parts, in all the forms in which they come."""

from __future__ import annotations

import pytest

from posthouse.filters.scanner.mime_names import read_head


@pytest.mark.parametrize(
    ("field", "names"),
    [
        (b'Content-Type: a/b; name="evil.exe"', ["evil.exe"]),
        (b"Content-Disposition: attachment; filename=evil.exe", ["evil.exe"]),
        (b"content-disposition:attachment;\n\tFileName = evil.exe ", ["evil.exe"]),
        (b"Content-Type: a/b; name*=utf-8''%66%C3%B6to.exe", ["f\u00f6to.exe"]),
        (b"Content-Type: a/b; name*0*=iso-8859-1'de'f%F6; name*1=to.e; name*2*=%78e", ["f\u00f6to.exe"]),
        (b"Content-Type: a/b; name*2=xe; name*0=foto; name*1=.e", ["foto.exe"]),
        (b'Content-Type: a/b; name="=?utf-8?B?ZXZpbC5leGU=?="', ["=?utf-8?B?ZXZpbC5leGU=?=", "evil.exe"]),
        (b'Content-Type: a/b; name="=?x?Q?evil?=\n =?x?Q?=2Eexe?="', ["=?x?Q?evil?=\n =?x?Q?=2Eexe?=", "evil.exe"]),
        (b'Content-Type: a/b; name="ev\\"il.exe', ['ev"il.exe']),
        (
            b"Content-Type: a/b; name=a.txt; name=b.exe\nContent-Disposition: x; filename=c.scr",
            ["a.txt", "b.exe", "c.scr"],
        ),
        (b"Content-Type: a/b; name=\xff.exe", ["\udcff.exe"]),
        (b"Content-Type: a/b; name*=no-such-charset''%ff.exe", ["\u00ff.exe"]),
        (b"Content-Type: a/b; name=; filename", []),
        (b"Content-Type: a/b; name*99999=x", []),
    ],
)
def test_names(field, names):
    assert list(read_head(field + b"\n").names) == names


def test_type_boundary_and_encoding():
    head = read_head(b'Content-Type: Multipart / Mixed; boundary="a b"\nContent-Transfer-Encoding: BASE64 \n')
    assert (head.type, head.boundary, head.encoding, head.is_multipart) == ("multipart/mixed", b"a b", "base64", True)


def test_a_part_that_says_nothing_is_text():
    assert read_head(b"Subject: x\n").type == "text/plain"
    assert read_head(b"Content-Type: rubbish\n").type == "text/plain"
