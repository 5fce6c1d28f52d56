from __future__ import annotations

import os

import pytest
from delivery_scene import CONTENT, Scene, texts

from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Trace

ME = f"virtual_uid_maps = static:{os.getuid() or 5000}\nvirtual_gid_maps = static:{os.getgid() or 5000}\n"


@pytest.fixture
async def scene(tmp_path):
    if os.geteuid() == 0:
        os.chmod(tmp_path, 0o777)
        for parent in tmp_path.parents:
            if str(parent).startswith("/tmp/"):
                os.chmod(parent, 0o755)
    made = Scene(
        f"virtual_mailbox_base = {tmp_path}\nvirtual_minimum_uid = 1\n{ME}recipient_delimiter = +\n"
        "deliver_lock_attempts = 1\nvirtual_mailbox_limit = 1000\n"
        "virtual_mailbox_maps = inline:{ a@v.test=a/, b@v.test=b, dir@v.test=dir, link@v.test=link, hard@v.test=hard }\n"
    )
    yield made
    made.close()


async def test_a_maildir_gets_the_message_with_its_fields(scene, tmp_path):
    assert texts(await scene.deliver("virtual", "A+x@v.test")) == ["2.0.0 delivered to maildir"]
    (name,) = os.listdir(tmp_path / "a/new")
    assert (tmp_path / "a/new" / name).read_bytes() == (
        b"Return-Path: <friend@sender.test>\nX-Original-To: A+x@v.test\nDelivered-To: A+x@v.test\n"
        + CONTENT.header
        + CONTENT.body
    )
    assert os.listdir(tmp_path / "a/tmp") == []
    assert (tmp_path / "a/cur").is_dir()


async def test_an_mbox_gets_a_from_line_quoting_and_an_empty_line(scene, tmp_path):
    assert (
        texts(await scene.deliver("virtual", "b@v.test", "b@v.test", sender="")) == ["2.0.0 delivered to mailbox"] * 2
    )
    text = (tmp_path / "b").read_bytes()
    assert text.count(b"From MAILER-DAEMON  ") == 2
    assert text.count(b"\n>From the start\ntext\n\n") == 2
    assert text.count(b"Return-Path: <>\n") == 2
    assert not (tmp_path / "b.lock").exists()


async def test_unknown_users_bounce(scene):
    assert texts(await scene.deliver("virtual", "None@v.test")) == ['5.1.1 unknown user: "none@v.test"']


async def test_a_probe_delivers_nothing(scene, tmp_path):
    report = await scene.deliver("virtual", "a@v.test", "b@v.test", trace=Trace.PROBE)
    assert texts(report) == ["2.0.0 delivers to maildir", "2.0.0 delivers to mailbox"]
    assert all(result.outcome.deliverable for result in report.results)
    assert os.listdir(tmp_path) == []


async def test_a_full_mailbox_bounces_and_stays_as_it_was(scene, tmp_path):
    await scene.deliver("virtual", "b@v.test")
    before = (tmp_path / "b").read_bytes()
    large = Content(CONTENT.header, b"\n" + b"x" * 900 + b"\n")
    assert texts(await scene.deliver("virtual", "b@v.test", content=large)) == [
        f"5.2.2 delivery failed to mailbox {tmp_path}/b: error writing message: File too large"
    ]
    assert (tmp_path / "b").read_bytes() == before


async def test_what_is_no_plain_file_is_not_written(scene, tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "other").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "other")
    (tmp_path / "link").symlink_to("other")
    if os.geteuid() == 0:
        for name in ("other", "dir"):
            os.chown(tmp_path / name, 5000, 5000)
    report = await scene.deliver("virtual", "dir@v.test", "link@v.test", "hard@v.test")
    assert texts(report) == [
        f"4.2.0 delivery failed to mailbox {tmp_path}/dir: cannot open file: Is a directory",
        f"4.2.0 delivery failed to mailbox {tmp_path}/link: file is a symbolic link",
        f"4.2.0 delivery failed to mailbox {tmp_path}/hard: file has 2 hard links",
    ]
    assert (tmp_path / "other").read_bytes() == b""


async def test_a_lock_of_another_defers(scene, tmp_path):
    (tmp_path / "b.lock").touch()
    assert texts(await scene.deliver("virtual", "b@v.test")) == [
        f"4.2.0 delivery failed to mailbox {tmp_path}/b: unable to create lock file {tmp_path}/b.lock: File exists"
    ]


async def test_a_large_body_comes_from_its_file(scene, tmp_path):
    spool = tmp_path / "spooled"
    spool.write_bytes(b"xx\nbody\n")
    await scene.deliver("virtual", "a@v.test", content=Content(b"Subject: x\n", FilePart(str(spool), 2, 6)))
    (name,) = os.listdir(tmp_path / "a/new")
    assert (tmp_path / "a/new" / name).read_bytes().endswith(b"Subject: x\n\nbody\n")


async def test_bad_owners_are_a_mistake_of_the_configuration(tmp_path):
    scene = Scene(
        "virtual_mailbox_base = /nowhere\nvirtual_mailbox_maps = static:x/\nvirtual_uid_maps = static:0\nvirtual_gid_maps = static:100\n"
    )
    try:
        assert texts(await scene.deliver("virtual", "a@v.test")) == ["4.3.5 mail system configuration error"]
        assert scene.sink.lines == ["postfix/virtual: warning: recipient a@v.test: bad uid 0 in virtual_uid_maps"]
    finally:
        scene.close()
