"""Looking through a message: parts, uuencoded files, members of archives; and bombs, which come to an end."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import tarfile
import time
import zipfile

import pytest

from posthouse.filters.scanner.contents import look_through
from posthouse.filters.scanner.limits import Limits
from posthouse.mail.content import Content, FilePart

HEADER = b"Content-Type: multipart/mixed; boundary=b\n"


def look(body, header=HEADER, limits=None, *, in_archives=True):
    return look_through(Content(header, body), limits or Limits(), in_archives=in_archives)


def shown(contents):
    return [" | ".join(part.shown for part in path) for path in contents.parts]


def attached(data, name="a.bin", kind="application/octet-stream", encoding="base64"):
    text = base64.encodebytes(data) if encoding == "base64" else data
    return (
        f'\n--b\nContent-Type: {kind}; name="{name}"\nContent-Transfer-Encoding: {encoding}\n\n'.encode()
        + text
        + b"\n--b--\n"
    )


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return file.getvalue()


def tarred(name, data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def test_parts_with_their_kinds_and_names():
    body = (
        b"\npreamble\n--b\n\nhello\n--b\nContent-Type: image/png; name=x.png\n\nMZ...\n--b--\nepilogue begin 644 no\n"
    )
    assert shown(look(body)) == ["multipart/mixed | text/plain,.asc", "multipart/mixed | image/png,.exe,.exe-ms,x.png"]


def test_messages_within_messages_and_multiparts_within_multiparts():
    inner = b"Content-Type: multipart/alternative; boundary=c\n\n--c\n\none\n--c\nContent-Type: text/html; name=z.hta\n\n<html>\n--c--\n"
    body = b"\n--b\nContent-Type: message/rfc822\n\n" + inner + b"--b\n\nlast\n"
    assert shown(look(body)) == [
        "multipart/mixed | message/rfc822 | multipart/alternative | text/plain,.asc",
        "multipart/mixed | message/rfc822 | multipart/alternative | text/html,.html,z.hta",
        "multipart/mixed | text/plain,.asc",
    ]


def test_a_file_that_stands_uuencoded_in_a_text_has_a_name():
    assert shown(look(b"\nsee\nbegin 644 evil.exe\nM...\nend\n", b"")) == [
        "text/plain,.asc",
        "text/plain,.asc | evil.exe",
    ]


@pytest.mark.parametrize(
    ("data", "name", "members"),
    [
        (zipped(a__b_exe=b"MZ"), "x.zip", [".exe,.exe-ms,a/b.exe"]),
        (zipped(in_zip=zipped(b_exe=b"MZ")), "x.zip", [".zip,in.zip", ".zip,in.zip | .exe,.exe-ms,b.exe"]),
        (tarred("d/e.exe", b"MZ"), "x.tar", [".exe,.exe-ms,d/e.exe"]),
        (gzip.compress(tarred("e.exe", b"MZ")), "x.tgz", [".tar,x.tar", ".tar,x.tar | .exe,.exe-ms,e.exe"]),
        (bz2.compress(b"MZ"), "e.exe.bz2", [".exe,.exe-ms,e.exe"]),
        (lzma.compress(b"MZ"), "e.exe.xz", [".exe,.exe-ms,e.exe"]),
    ],
    ids=["zip", "zip in zip", "tar", "tgz", "bz2", "xz"],
)
def test_members_of_archives(data, name, members):
    prefix = look(attached(data, name), in_archives=False)
    found = shown(look(attached(data, name)))
    assert found[0] == shown(prefix)[0]
    assert [text.removeprefix(f"{found[0]} | ") for text in found[1:]] == members


@pytest.mark.parametrize(
    ("encoding", "data"),
    [("quoted-printable", b"MZ=\n=4d\n"), ("7bit", b"MZ"), ("base64", b"M Z"), ("x-odd", b"MZ")],
)
def test_what_a_part_is_shows_through_its_encoding(encoding, data):
    body = attached(data if encoding != "base64" else b"MZ\x90", encoding=encoding)
    assert ".exe-ms" in shown(look(body))[0]


def test_base64_with_rubbish_and_padding_in_between_is_decoded():
    body = b"\n--b\nContent-Type: a/b\nContent-Transfer-Encoding: base64\n\nTV!o=\n*AAAA=\n--b--\n"
    assert ".exe-ms" in shown(look(body))[0]


BOMBS = {
    "ten thousand parts": (HEADER, b"\n" + b"--b\n\nx\n" * 10_000, "more than 1500 parts"),
    "a thousand levels": (
        b"Content-Type: multipart/mixed; boundary=b0\n",
        b"\n" + b"".join(b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (n, n + 1) for n in range(1000)),
        "more than 14 levels",
    ),
    "a thousand messages in messages": (
        b"Content-Type: message/rfc822\n", b"\n" + b"Content-Type: message/rfc822\n\n" * 1000, "more than 14 levels",
    ),
    "a zip that expands": (HEADER, attached(zipped(a=b"\0" * 60_000_000)), "archives that expand to too much"),
    "a tar in a gzip": (
        HEADER, attached(gzip.compress(tarred("zeros", b"\0" * 80_000_000))), "archives that expand to too much",
    ),
    "a zip with many members": (HEADER, attached(zipped(**{f"m{n}": b"" for n in range(2000)})), "more than 1500 parts"),
    "a header without an end": (HEADER, b"\n--b\n" + b"X: y\n" * 100_000, "the header of a part is too long"),
    "a broken zip": (HEADER, attached(b"PK\3\4" + b"x" * 100, "x.zip"), "zip file"),
    "a truncated gzip": (HEADER, attached(gzip.compress(b"PK\3\4" * 9999)[:-20], "x.gz"), "ended before"),
    "a tar with a huge header": (
        HEADER,
        attached(tarred("n" * 3_000_000, b""), "x.tar"),
        "a tar archive with a header too large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_and_says_so(name):
    header, body, why = BOMBS[name]
    began = time.process_time()
    contents = look(body, header)
    assert why in contents.unchecked
    assert len(contents.parts) <= 1500
    assert time.process_time() - began < 10


def test_names_beside_a_bomb_are_seen():
    contents = look(attached(zipped(a=b"\0" * 60_000_000, evil_exe=b"MZ")))
    assert shown(contents)[-1].endswith("| evil.exe")
    assert contents.unchecked


def test_an_encrypted_archive_shows_its_names_and_is_unchecked():
    data = bytearray(zipped(e_exe=b"MZ"))
    for mark in (b"PK\3\4", b"PK\1\2"):
        data[data.index(mark) + (6 if mark == b"PK\3\4" else 8)] |= 1
    contents = look(attached(bytes(data), "x.zip"))
    assert shown(contents)[-1].endswith("| e.exe")
    assert "is encrypted" in contents.unchecked


def test_time_is_limited(monkeypatch):
    ticks = iter(range(0, 100_000, 10))
    monkeypatch.setattr("posthouse.filters.scanner.limits.time.monotonic", lambda: float(next(ticks)))
    assert look(b"\n" + b"--b\n\nx\n" * 100).unchecked == "not looked through within 30 s"


def test_a_body_in_a_file_is_looked_through_where_it_lies(tmp_path):
    body = attached(zipped(e_exe=b"MZ"))
    for offset in (0, 5):
        (tmp_path / "body").write_bytes(b"x" * offset + body)
        contents = look(FilePart(str(tmp_path / "body"), offset, len(body)))
        assert shown(contents)[-1].endswith(".exe,.exe-ms,e.exe")


@pytest.mark.parametrize("body", [b"", b"\n", b"\n--b", b"\n--b\n", b"--b--", b"\n--b\nContent-Type: message/rfc822\n"])
def test_next_to_nothing_is_no_trouble(body):
    assert look(body).unchecked == ""
