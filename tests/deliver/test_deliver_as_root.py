"""Real changes of user: only as root."""

from __future__ import annotations

import os
import pwd

import pytest
from delivery_scene import CONTENT, Scene, texts

from posthouse.deliver.agent_host import host
from posthouse.services.privileged import Command, Identity

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place(tmp_path):
    for parent in (tmp_path, *tmp_path.parents):
        if str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    (tmp_path / "spool").mkdir(mode=0o755)
    return tmp_path


@pytest.fixture
async def scene(place):
    made = Scene(
        f"mail_spool_directory = {place}/spool\nqueue_directory = {place}\nmyorigin = mx.example.test\nalias_maps =\n"
        f"deliver_lock_attempts = 1\nvirtual_mailbox_base = {place}/mail\nvirtual_mailbox_maps = static:box/\n"
        "virtual_uid_maps = static:5000\nvirtual_gid_maps = static:5001\n",
        host.Limits(spool_directories=(f"{place}/spool",)),
    )
    yield made
    made.close()


async def test_in_a_spool_of_root_the_mailbox_is_made_for_its_user(scene, place):
    user = pwd.getpwnam("nobody")
    assert texts(await scene.deliver("local", "nobody@mx.example.test")) == ["2.0.0 delivered to mailbox"]
    assert texts(await scene.deliver("local", "nobody@mx.example.test")) == ["2.0.0 delivered to mailbox"]
    found = os.stat(place / "spool/nobody")
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (user.pw_uid, user.pw_gid, 0o600)
    assert (place / "spool/nobody").read_bytes().count(b"From friend@sender.test") == 2
    assert os.listdir(place / "spool") == ["nobody"]


async def test_roots_own_mail_goes_to_its_mailbox_in_the_spool(scene, place):
    assert texts(await scene.deliver("local", "root@mx.example.test")) == ["2.0.0 delivered to mailbox"]
    assert os.stat(place / "spool/root").st_uid == 0


async def test_a_mailbox_of_somebody_else_is_left_alone(scene, place):
    (place / "spool/nobody").touch()
    os.chown(place / "spool/nobody", 5000, 5000)
    assert texts(await scene.deliver("local", "nobody@mx.example.test")) == [
        (
            f"4.2.0 cannot update mailbox {place}/spool/nobody for user nobody. "
            f"destination {place}/spool/nobody is not owned by recipient"
        )
    ]
    assert (place / "spool/nobody").read_bytes() == b""


async def test_a_link_in_the_spool_is_not_followed(scene, place):
    (place / "victim").touch()
    (place / "spool/nobody").symlink_to(place / "victim")
    (text,) = texts(await scene.deliver("local", "nobody@mx.example.test"))
    assert text.endswith("file is a symbolic link")
    assert (place / "victim").read_bytes() == b""


async def test_a_maildir_belongs_to_the_configured_user(scene, place):
    (place / "mail").mkdir()
    assert texts(await scene.deliver("virtual", "a@v.test"))[0].startswith("4.2.0 maildir delivery failed: create")
    os.chown(place / "mail", 5000, 5001)
    assert texts(await scene.deliver("virtual", "a@v.test")) == ["2.0.0 delivered to maildir"]
    (name,) = os.listdir(place / "mail/box/new")
    found = os.stat(place / "mail/box/new" / name)
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (5000, 5001, 0o600)


async def test_a_user_cannot_lead_deliveries_elsewhere(scene, place):
    (place / "mail").mkdir()
    (place / "elsewhere").mkdir(mode=0o777)
    os.chown(place / "mail", 5000, 5001)
    (place / "mail/box").symlink_to(place / "elsewhere")
    os.chown(place / "mail/box", 5000, 5001, follow_symlinks=False)
    assert texts(await scene.deliver("virtual", "a@v.test"))[0].startswith("4.2.0 maildir delivery failed: create")
    assert os.listdir(place / "elsewhere") == []


async def test_a_command_has_no_rights_but_the_users(scene):
    command = Command(Identity(5000, 5001), ("/usr/bin/id",), {"PATH": "/bin:/usr/bin"}, b"", CONTENT, 10.0)
    result = await scene.client.run_command(command)
    assert b"uid=5000" in result.output
    assert b"gid=5001" in result.output
    assert b"root" not in result.output


async def test_only_system_mailboxes_are_written_in_the_spool(scene, place):
    from dataclasses import replace

    from posthouse.services.privileged import MailFile

    nobody = pwd.getpwnam("nobody")
    mail = MailFile(Identity(nobody.pw_uid, nobody.pw_gid), f"{place}/spool/root", b"From x\n", CONTENT, in_spool=True)
    for path in (f"{place}/spool/root", f"{place}/victim", f"{place}/spool/../victim", "/etc/passwd"):
        status = await scene.client.append_mbox(replace(mail, path=path))
        assert "is not a system mailbox" in status.text
