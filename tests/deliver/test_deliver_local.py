from __future__ import annotations

import os
import time

import pytest
from delivery_scene import CONTENT, Scene, texts

from posthouse.bounce.report import action_of
from posthouse.mail.content import Content
from posthouse.mail.envelope import Notify, Trace
from posthouse.system import users

UID, GID = (os.getuid() or 5000), (os.getgid() or 5000)
HOST = "mx.example.test"


@pytest.fixture
def place(tmp_path):
    """spool/, home/alice/ and home/bob/, both users with rights that this process can have."""
    if os.geteuid() == 0:
        for parent in (tmp_path, *tmp_path.parents):
            if str(parent).startswith("/tmp/"):
                os.chmod(parent, 0o755)
    (tmp_path / "spool").mkdir()
    os.chmod(tmp_path / "spool", 0o777)
    (tmp_path / "out").mkdir()
    os.chmod(tmp_path / "out", 0o777)
    for name in ("alice", "bob", "nobody"):
        home = tmp_path / "home" / name
        home.mkdir(parents=True)
        os.chown(home, UID, GID)
        users._by_name[name] = (time.monotonic() + 1e6, users.User(name, UID, GID, str(home), "/bin/sh"))
    yield tmp_path
    users.forget_users()


class Local(Scene):
    def __init__(self, place, aliases: dict[str, str], main_cf: str = "") -> None:
        (place / "aliases").write_text("".join(f"{name}: {value}\n" for name, value in aliases.items()))
        (place / "texthash").write_text("".join(f"{name} {value}\n" for name, value in aliases.items()))
        super().__init__(
            f"mail_spool_directory = {place}/spool\nqueue_directory = {place}/out\nmyorigin = {HOST}\n"
            f"alias_maps = texthash:{place}/texthash\nrecipient_delimiter = +\ndeliver_lock_attempts = 1\n"
            f"command_time_limit = 5s\ndefault_privs = nobody\n" + main_cf
        )

    async def local(self, user: str, **more):
        return await self.deliver("local", f"{user}@{HOST}", original=user, **more)


@pytest.fixture
async def local(place):
    made: list[Local] = []

    def make(aliases: dict[str, str] | None = None, main_cf: str = "") -> Local:
        made.append(Local(place, aliases or {}, main_cf))
        return made[-1]

    yield make
    for scene in made:
        scene.close()


def forward(place, user: str, text: str, name: str = ".forward", mode: int = 0o644) -> None:
    path = place / "home" / user / name
    path.write_text(text)
    os.chown(path, UID, GID)
    os.chmod(path, mode)


async def test_mail_for_a_user_goes_to_the_mailbox_in_the_spool(local, place):
    assert texts(await local().local("Alice+x")) == ["2.0.0 delivered to mailbox"]
    text = (place / "spool/alice").read_bytes()
    assert text.startswith(b"From friend@sender.test  ")
    assert b"\nX-Original-To: Alice+x\nDelivered-To: Alice+x@mx.example.test\nReceived" in text
    assert text.endswith(b"\n\n>From the start\ntext\n\n")


async def test_unknown_users_bounce_and_roles_are_discarded(local):
    scene = local()
    assert texts(await scene.local("nosuch-user+ext")) == ['5.1.1 unknown user: "nosuch-user"']
    assert texts(await scene.local("postmaster")) == ["2.0.0 discarded"]
    assert scene.sink.lines == ["postfix/local: warning: required alias not found: postmaster"]


async def test_an_alias_without_an_owner_is_delivered_on_the_spot(local, place):
    scene = local({"www": "root", "root": "alice, someone@elsewhere.test"})
    report = await scene.local("www")
    assert texts(report) == ["2.0.0 delivered to mailbox", "2.0.0 forwarded as QID0"]
    assert report.results[0].logged_recipient.address == "alice@mx.example.test"
    assert report.results[0].logged_recipient.original == "www"
    assert report.results[1].logged_recipient.address == "www@mx.example.test"
    (submission,) = scene.intake.taken
    assert [r.address for r in submission.envelope.recipients] == ["someone@elsewhere.test"]
    assert submission.content.header.startswith(b"Received: by mx.example.test (Postfix)\n\tid QID0; ")
    assert b"\nDelivered-To: www@mx.example.test\nReceived: from client" in submission.content.header


async def test_a_list_with_an_owner_is_sent_on_in_the_owners_name(local):
    scene = local({"list": "alice, bob", "owner-list": "bob"})
    assert texts(await scene.local("list")) == ["2.0.0 forwarded as QID0"]
    assert scene.intake.taken[0].envelope.sender == "owner-list@mx.example.test"
    scene = local({"list": "alice, bob", "owner-list": "bob"}, "expand_owner_alias = yes\n")
    await scene.local("list")
    assert scene.intake.taken[0].envelope.sender == "bob@mx.example.test"


async def test_members_of_include_files_get_messages_of_their_own(local, place):
    (place / "members").write_text('# comment\nalice\nbob@mx.example.test, "|cat", /tmp/file\n')
    os.chmod(place / "members", 0o644)
    scene = local({"list": f":include:{place}/members", "none": ":include:/no/such"})
    assert texts(await scene.local("list")) == [
        "5.7.1 mail to command is restricted",
        "5.7.1 mail to file is restricted",
        "2.0.0 forwarded as QID0",
    ]
    assert [r.address for r in scene.intake.taken[0].envelope.recipients] == [f"alice@{HOST}", f"bob@{HOST}"]
    assert texts(await scene.local("none")) == ["5.3.5 mail system configuration error"]
    assert scene.sink.lines == [
        "postfix/local: warning: unable to lookup :include: file /no/such: No such file or directory"
    ]


async def test_commands_are_told_of_the_message(local, place):
    scene = local(
        {"script": f'"|cat > {place}/out/script; echo $SENDER $RECIPIENT $LOCAL $USER $PWD >> {place}/out/script"'}
    )
    (text,) = texts(await scene.local("script+a"))
    assert text.startswith("2.0.0 delivered to command: cat > ")
    written = (place / "out/script").read_text()
    assert written.startswith("From friend@sender.test  ")
    assert "\nFrom the start\ntext\n" in written
    assert written.endswith(f"friend@sender.test script+a@{HOST} script+a script {place}/out\n")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("exit 1", '5.3.0 Command died with status 1: "exit 1"'),
        ("exit 75", "4.3.0 temporary failure"),
        ("kill -11 $$", '4.3.0 Command died with signal 11: "kill -11 $$"'),
        ("sleep 20", '5.3.0 Command time limit exceeded: "sleep 20"'),
        (
            "nosuchcommand x",
            '5.3.0 Command died with status 127: "nosuchcommand x". Command output: sh: 1: nosuchcommand: not found ',
        ),
        (
            "/no/such y",
            "4.3.0 temporary failure. Command output: local: fatal: execvp /no/such: No such file or directory ",
        ),
    ],
)
async def test_a_commands_end_decides(local, command, text):
    assert texts(await local({"cmd": f'"|{command}"'}).local("cmd"))[0] == text


async def test_files_are_appended_to(local, place):
    scene = local({"file": f"{place}/out/file", "md": f"{place}/out/md/", "null": "/dev/null", "dir": f"{place}/out"})
    assert texts(await scene.local("file")) == [f"2.0.0 delivered to file: {place}/out/file"]
    assert texts(await scene.local("md")) == ["2.0.0 delivered to maildir"]
    assert texts(await scene.local("null")) == ["2.0.0 delivered to file: /dev/null"]
    assert texts(await scene.local("dir")) == [
        f"5.2.0 cannot append message to file {place}/out: cannot open file: Is a directory"
    ]
    assert b"X-Original-To: file\n" in (place / "out/file").read_bytes()


async def test_a_forward_file_says_where_mail_goes(local, place):
    scene = local()
    forward(place, "alice", f'\\alice, "|id -u > {place}/out/id", ~/kept, bob, other@elsewhere.test\n')
    report = await scene.local("alice")
    assert texts(report) == [
        "2.0.0 delivered to mailbox",
        f"2.0.0 delivered to command: id -u > {place}/out/id",
        f"2.0.0 delivered to file: {place}/home/alice/kept",
        "2.0.0 forwarded as QID0",
    ]
    assert (place / "out/id").read_text() == f"{UID}\n"
    assert [r.address for r in scene.intake.taken[0].envelope.recipients] == [f"bob@{HOST}", "other@elsewhere.test"]


async def test_a_forward_file_for_the_extension_comes_first(local, place):
    forward(place, "alice", f"{place}/out/ext\n", name=".forward+x")
    scene = local()
    assert texts(await scene.local("alice+x")) == [f"2.0.0 delivered to file: {place}/out/ext"]
    assert texts(await scene.local("alice+y")) == ["2.0.0 delivered to mailbox"]


async def test_a_forward_file_that_others_can_write_is_not_used(local, place):
    forward(place, "alice", "bob\n", mode=0o666)
    (place / "home/bob/.forward").symlink_to("/etc/passwd")
    scene = local()
    assert texts(await scene.local("alice")) == ["2.0.0 delivered to mailbox"]
    assert texts(await scene.local("bob")) == ["2.0.0 delivered to mailbox"]
    assert scene.sink.lines == [
        f"postfix/local: warning: file {place}/home/alice/.forward is world writable",
        f"postfix/local: warning: file {place}/home/bob/.forward is not a regular file",
    ]


async def test_loops_end(local):
    scene = local({"loop1": "loop2", "loop2": "loop1"})
    looping = Content(b"Delivered-To: ALICE@mx.example.test\n" + CONTENT.header, CONTENT.body)
    assert texts(await scene.local("alice", content=looping)) == [f"5.4.6 mail forwarding loop for alice@{HOST}"]
    assert texts(await scene.local("loop1")) == ["5.4.6 alias database loop for loop2"]


async def test_nobody_gets_the_same_mail_twice(local, place):
    assert texts(await local({"two": "alice, alice, ALICE@mx.example.test"}).local("two")) == [
        "2.0.0 delivered to mailbox"
    ]
    assert (place / "spool/alice").read_bytes().count(b"\nReceived") == 1


async def test_what_must_be_tried_again_forwards_nothing_yet(local):
    scene = local({"mix": '"|exit 75", alice, other@elsewhere.test'})
    assert texts(await scene.local("mix")) == ["4.3.0 temporary failure", "2.0.0 delivered to mailbox"]
    assert scene.intake.taken == []


async def test_a_probe_delivers_nothing(local, place):
    scene = local({"many": f'alice, "|exit 0", {place}/out/many, x@elsewhere.test'})
    assert texts(await scene.local("many", trace=Trace.REPORT_ONLY)) == [
        "2.0.0 delivers to mailbox",
        "2.0.0 delivers to command: exit 0",
        f"2.0.0 delivers to file: {place}/out/many",
        "2.0.0 forwards to x@elsewhere.test",
    ]
    assert os.listdir(place / "spool") == os.listdir(place / "out") == []


async def test_home_mailbox_and_mailbox_command_replace_the_spool(local, place):
    assert texts(await local(main_cf="home_mailbox = Maildir/\n").local("alice")) == ["2.0.0 delivered to maildir"]
    assert len(os.listdir(place / "home/alice/Maildir/new")) == 1
    scene = local(main_cf=f'mailbox_command = echo "$EXTENSION" $HOME > {place}/out/done\n')
    (text,) = texts(await scene.local("alice+box"))
    assert text.startswith("2.0.0 delivered to command: echo")
    assert (place / "out/done").read_text() == f"box {place}/home/alice\n"


async def test_luser_relay_takes_mail_for_unknown_users(local):
    scene = local(main_cf="luser_relay = lost+${user}@elsewhere.test\n")
    assert texts(await scene.local("nosuch-user")) == ["2.0.0 forwarded as QID0"]
    assert scene.intake.taken[0].envelope.recipients[0].address == "lost+nosuch-user@elsewhere.test"


async def test_luser_relay_gets_no_extension_that_its_name_does_not_have(local):
    scene = local(main_cf="luser_relay = ${user}+lost@elsewhere.test\nrecipient_delimiter = +\n")
    assert texts(await scene.local("nosuch-user+tag")) == ["2.0.0 forwarded as QID0"]
    assert scene.intake.taken[0].envelope.recipients[0].address == "nosuch-user+lost@elsewhere.test"


def test_words_side_by_side_are_members_of_their_own_so_commands_with_spaces_need_quotes():
    from posthouse.deliver.local.destinations import ToAddress, ToCommand, ToFile, read_destinations

    assert list(read_destinations("ann ben")) == [ToAddress("ann"), ToAddress("ben")]
    assert list(read_destinations("|cat > /tmp/x; exit 0")) == [
        ToCommand("cat"), ToFile("/tmp/x"), ToAddress("exit"), ToAddress("0")
    ]  # fmt: skip
    assert list(read_destinations('"|cat > /tmp/x; exit 0"')) == [ToCommand("cat > /tmp/x; exit 0")]
    assert list(read_destinations("Ann Example <ann@here.test>")) == [ToAddress("ann@here.test")]
    assert list(read_destinations("ann @ here.test, ben")) == [ToAddress("ann@here.test"), ToAddress("ben")]


@pytest.mark.parametrize(("aliases", "action"), [
    ({"list": "alice"}, "expanded"),
    ({"list": '"|cat"'}, "expanded"),
    ({"list": "inner", "inner": "bob"}, "expanded"),
    ({"list": "alice", "owner-list": "bob"}, "delivered"),
])  # fmt: skip
async def test_who_asks_for_success_hears_that_an_alias_was_expanded(local, aliases, action):
    report = await local(aliases).local("list", notify=Notify.SUCCESS)
    result, *_ = (result for result in report.results if result.unlogged)
    assert (result.logged_recipient.address, action_of(result.outcome)) == (f"list@{HOST}", action)
    assert result.outcome.status.text == "alias expanded"
    logged = [other for other in report.results if not other.unlogged]
    assert not any(other.logged_recipient.notify & Notify.SUCCESS for other in logged)


async def test_files_and_commands_of_a_list_with_an_owner_do_not_show_the_original_recipient(local, place):
    scene = local({"list": f"{place}/out/kept", "owner-list": "bob", "plain": f"{place}/out/shown"})
    await scene.local("list")
    await scene.local("plain")
    assert "X-Original-To:" not in (place / "out/kept").read_text()
    assert "X-Original-To: plain\n" in (place / "out/shown").read_text()
