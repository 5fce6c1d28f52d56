from __future__ import annotations

import asyncio
import datetime as dt
import os

import pytest

import certificates
from posthouse.config.master_cf import parse_entries, service_of
from posthouse.config.settings import from_text
from posthouse.master.control import pair
from posthouse.master.keys import KeyDesk, answer, complaints, read_keys, sources_of, unfit
from posthouse.system.key_files import KeyFiles

NOW = dt.datetime.now(dt.UTC)


def services(text):
    return [service_of(entry) for entry in parse_entries(text, "master.cf")]


def test_only_files_of_services_with_tls_are_keys():
    settings = from_text("smtpd_tls_cert_file = /a.pem\nsmtpd_tls_key_file = /a.key\nsmtpd_tls_eccert_file = /e.pem\n")
    lines = services(
        "smtp inet n - n - - smtpd\n"
        "587 inet n - n - - smtpd\n -o smtpd_tls_security_level=encrypt\n"
        "465 inet n - n - - smtpd\n -o smtpd_tls_wrappermode=yes -o smtpd_tls_chain_files=/k,/c\n"
    )
    assert sources_of(settings, lines) == {("/a.key", "/a.pem"): "587", ("/e.pem",): "587", ("/k", "/c"): "465"}


def test_what_is_wrong_is_said_before_it_hurts(tmp_path):
    good, other = certificates.make(tmp_path, "good", "a.test"), certificates.make(tmp_path, "other", "b.test")
    expired = certificates.make(tmp_path, "expired", "c.test", expired=True)
    sources = {
        (str(good.key), str(good.certificate)): "25",
        (str(other.key), str(good.certificate)): "587",
        (str(expired.key), str(expired.certificate)): "465",
        ("/nowhere",): "2525",
    }
    keys = read_keys(path for source in sources for path in source)
    said = complaints(sources, keys, NOW)
    assert [text.rpartition(": ")[2] for text in said] == [
        "the private key does not belong to the certificate",
        f"the certificate has expired on {NOW - dt.timedelta(days=1):%Y-%m-%d}",
        "cannot read /nowhere",
    ]
    assert "expires on" in complaints(sources, keys, NOW + dt.timedelta(days=27))[0]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", ""),
        ("smtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = {place}/good.pem\n", ""),
        ("smtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = {place}/nonesuch\n", "cannot load authorities of clients from {place}/nonesuch: "),
        ("smtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = {place}/good.key\n", "cannot load authorities of clients from {place}/good.key: "),
        ("smtpd_tls_dh1024_param_file = {place}/nonesuch\n", "cannot load DH parameters from {place}/nonesuch: "),
        ("smtpd_tls_eecdh_grade = ultra\ntls_eecdh_ultra_curve = bent\n", "unknown curve in bent"),
        ("smtpd_tls_ciphers = hihg\n", ""),  # said by config checks, with the line
    ],
)  # fmt: skip
def test_what_would_keep_tls_from_working_is_said_before_the_first_client_comes(tmp_path, line, text):
    good = certificates.make(tmp_path, "good", "a.test")
    chain = f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {good.key}, {good.certificate}\n"
    settings = from_text(chain + line.format(place=tmp_path))
    lines = services("25 inet n - n - - smtpd\n26 inet n - n - - smtpd\n27 unix - - n - - smtp\n")
    said = unfit(settings, lines, read_keys((str(good.key), str(good.certificate))))
    assert len(said) == bool(text)
    if text:
        assert said[0].startswith(f"TLS of service 25: {text.format(place=tmp_path)}")


@pytest.fixture
async def desk():
    """A worker's desk, and what master does when its line can be read."""
    ours, theirs = pair()
    loop, found = asyncio.get_running_loop(), KeyDesk(theirs)
    found.allowed, found.asked = set(), []

    def master():
        word, _ = ours.hear()
        found.asked.append(word)
        answer(ours, word, frozenset(found.allowed))

    loop.add_reader(ours.fileno(), master)
    loop.add_reader(theirs.fileno(), lambda: found.take(*theirs.hear()))
    yield found
    loop.remove_reader(ours.fileno())
    loop.remove_reader(theirs.fileno())
    ours.close()
    theirs.close()


async def test_master_opens_files_of_the_configuration_and_no_others(desk, tmp_path):
    for name in ("key", "secret"):
        (tmp_path / name).write_text(name)
    desk.allowed.add(str(tmp_path / "key"))
    descriptors = await asyncio.gather(*(desk.open(str(tmp_path / "key")) for _ in range(3)))
    for fd in descriptors:
        assert os.pread(fd, 100, 0) == b"key"
        os.close(fd)
    assert len(desk.asked) == 1
    with pytest.raises(PermissionError):
        await desk.open(str(tmp_path / "secret"))
    desk.allowed.add(str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError):
        await desk.open(str(tmp_path / "gone"))


async def test_a_file_is_read_again_only_when_it_has_changed(tmp_path):
    path = tmp_path / "key"
    path.write_text("one")
    files = KeyFiles(read_keys([str(path)]))
    first = await files.current(str(path))
    assert await files.current(str(path)) is first
    (tmp_path / "new").write_text("two")
    os.rename(tmp_path / "new", path)
    assert (await files.current(str(path))).data == b"two"
    assert files.at_hand(str(path)).data == b"two"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        await files.current(str(path))
