from __future__ import annotations

import os
import signal
import time

import pytest
from delivery_scene import CONTENT, Scene, texts

from posthouse.config.master_cf import Service
from posthouse.deliver.pipe import read_attributes
from posthouse.errors import ConfigError
from posthouse.mail.content import Content
from posthouse.mail.envelope import Trace
from posthouse.system import users

UID, GID = (os.getuid() or 5000), (os.getgid() or 5000)
SHOW = """#!/bin/sh
for word; do echo "<$word>"; done > "$OUT/arguments"
cat > "$OUT/content"
case "$1" in
  sleep) exec sleep 20;;
  late) echo waiting; exec sleep 20;;
  forks) sleep 20 & echo forked; exit 0;;
  much) head -c 5000 /dev/zero | tr "\\000" x; exit 0;;
  signals) grep SigIgn /proc/self/status; exit 1;;
  dsn4) echo "4.7.9 my own words"; exit 1;;
  dsn2) echo "2.7.9 good words"; exit 1;;
  lines) printf 'line one\\nline\\ttwo\\001\\n'; exit 65;;
  zero) printf 'fine\\nreally\\n'; exit 0;;
  [0-9]*) exit $1;;
esac
"""


@pytest.fixture
async def scene(tmp_path, monkeypatch):
    for parent in (tmp_path, *tmp_path.parents) if os.geteuid() == 0 else ():
        if str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    os.chmod(tmp_path, 0o777)
    (tmp_path / "show").write_text(SHOW)
    os.chmod(tmp_path / "show", 0o755)
    users._by_name["worker"] = (time.monotonic() + 1e6, users.User("worker", UID, GID, "/", "/bin/sh"))
    made = Scene(
        f"queue_directory = {tmp_path}\nexport_environment = OUT={tmp_path}\nrecipient_delimiter = +\np_time_limit = 5s\n"
    )
    made.show = str(tmp_path / "show")
    made.out = tmp_path
    yield made
    made.close()
    users.forget_users()


async def run(scene, *addresses, arguments=("$recipient",), attributes=(), **more):
    args = (*attributes, "user=worker", f"argv={scene.show}", *arguments)
    return texts(await scene.deliver("pipe", *addresses, service="p", args=args, **more))


async def test_macros_stand_once_for_each_recipient(scene):
    given = (
        "$nexthop",
        "${user}",
        "${extension}",
        "$(mailbox)",
        "$domain",
        "{ a b }",
        "c$$d",
        "$queue_id",
        "$client_helo",
    )
    assert (
        await run(scene, "B@p.test", "a+ext@p.test", arguments=given, nexthop="next.hop")
        == ["2.0.0 delivered via p service"] * 2
    )
    assert (scene.out / "arguments").read_text().split("\n")[:-1] == [
        f"<{word}>"
        for word in (
            "next.hop", "B", "a", "", "ext", "B", "a+ext", "p.test", "p.test", "a b", "c$d", "4ABC", "client.sender.test",
        )
    ]  # fmt: skip
    assert (scene.out / "content").read_bytes() == CONTENT.header + CONTENT.body


async def test_flags_shape_arguments_and_content(scene):
    arguments = ("-f", "${sender}", "$recipient")
    attributes = ("flags=DORXhuq.>B", "null_sender=nobody", "eol=\\r\\n")
    content = Content(CONTENT.header, b"\n.dot\nFrom here\n")
    await run(scene, "Two Words@FLAGS.test", arguments=arguments, attributes=attributes, sender="", content=content)
    assert (scene.out / "arguments").read_text() == '<-f>\n<nobody>\n<"two words"@flags.test>\n'
    assert (scene.out / "content").read_bytes() == (
        b'Return-Path: <nobody>\r\nX-Original-To: "Two Words"@FLAGS.test\r\nDelivered-To: "Two Words"@FLAGS.test\r\n'
        + CONTENT.header.replace(b"\n", b"\r\n")
        + b"\r\n..dot\r\n>From here\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("1", '5.3.0 Command died with status 1: "{show}"'),
        ("64", "5.3.0 command line usage error"),
        ("67", "5.1.1 user unknown"),
        ("75", "4.3.0 temporary failure"),
        ("77", "5.7.0 permission denied"),
        ("78", "5.3.5 local configuration error"),
        ("dsn4", "4.7.9 my own words "),
        ("dsn2", "5.0.0 good words "),
        ("lines", "5.6.0 data format error. Command output: line one line two_ "),
        ("zero", "2.0.0 delivered via p service (fine really)"),
        ("much", f"2.0.0 delivered via p service ({'x' * 100})"),
        ("sleep", '5.3.0 Command time limit exceeded: "{show}"'),
        ("late", '5.3.0 Command time limit exceeded: "{show}". Command output: waiting '),
        ("forks", '5.3.0 Command time limit exceeded: "{show}". Command output: forked '),
    ],
)
async def test_the_commands_end_decides(scene, user, text):
    assert await run(scene, f"{user}@p.test", arguments=("$user",)) == [text.format(show=scene.show)]


async def test_a_command_sees_an_error_when_it_writes_to_nobody_and_may_be_interrupted(scene):
    (text,) = await run(scene, "signals@p.test", arguments=("$user",))
    ignored = int(text.rpartition("SigIgn:")[2].split()[0], 16)
    assert ignored & 1 << (signal.SIGPIPE - 1)
    assert not ignored & 1 << (signal.SIGINT - 1)


async def test_a_directory_that_is_not_there_is_told_in_the_log_only(scene):
    assert await run(scene, "a@p.test", attributes=("directory=/no/such",)) == ["4.3.0 temporary failure"]
    assert any('fatal: cannot change directory to "/no/such" for uid=' in line for line in scene.sink.lines)


async def test_a_program_that_is_not_there_is_tried_again(scene):
    scene.show = "/no/such/program"
    assert await run(scene, "a@p.test") == [
        "4.3.0 temporary failure. Command output: pipe: fatal: pipe_command: execvp /no/such/program: No such file or directory "
    ]


async def test_large_messages_go_back(scene):
    assert await run(scene, "a@p.test", attributes=("size=10",)) == ["5.2.3 message too large"]


async def test_loops_are_seen_where_delivered_to_is_written(scene):
    looping = Content(b"Delivered-To: A@p.test\n" + CONTENT.header, CONTENT.body)
    assert await run(scene, "a@p.test", attributes=("flags=D",), content=looping) == [
        "5.4.6 mail forwarding loop for a@p.test"
    ]


async def test_a_probe_runs_nothing(scene):
    assert await run(scene, "a@p.test", trace=Trace.PROBE) == [f"2.0.0 delivers to command: {scene.show}"]
    assert not (scene.out / "content").exists()


async def test_a_message_larger_than_a_pipe_arrives_whole(scene):
    large = Content(CONTENT.header, b"\n" + b"0123456789abcde\n" * 65536)
    assert await run(scene, "a@p.test", content=large) == ["2.0.0 delivered via p service"]
    assert (scene.out / "content").stat().st_size == large.size


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("argv=/bin/true",), "missing user= attribute"),
        (("user=worker",), "missing argv= attribute"),
        (("flags=Z", "user=worker", "argv=/bin/true"), "unknown flag: Z"),
        (("colour=red", "argv=/bin/true"), 'unknown attribute name: "colour"'),
    ],
)
def test_mistakes_in_master_cf_are_named(args, text):
    line = Service("p", "unix", True, False, False, 0, False, 0, "pipe", args)
    with pytest.raises(ConfigError, match=text):
        read_attributes(line)


def test_a_commands_own_words_are_the_diagnostic_of_a_report():
    from posthouse.deliver.command_outcome import diagnostic
    from posthouse.services.privileged import CommandResult

    assert diagnostic(CommandResult(67, b"some output\n")) == "x-unix; some output"
    assert diagnostic(CommandResult(99, b"5.6.7 never\n")) == "x-unix; never"
    assert diagnostic(CommandResult(67, b"")) == "x-unix; user unknown"
    assert diagnostic(CommandResult(1, b"")) == "x-unix; unknown mail system error 1"
