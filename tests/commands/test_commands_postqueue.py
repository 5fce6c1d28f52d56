"""postqueue, mailq, postsuper, postcat and qshape against a queue that runs, and against one that does not."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from queue_commands_scene import WAITS, a_house, a_message, deferred, run, take_in, until

from posthouse.mail.envelope import Origin
from posthouse.master import pid_file
from posthouse.queue.store import Settlement

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="postsuper is for the superuser")


async def entries(scene) -> list[dict]:
    code, out, _ = await run("postqueue", "-j", scene=scene)
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


async def test_an_empty_queue(scene):
    assert await run("postqueue", "-p", scene=scene) == (0, "Mail queue is empty\n", "")
    assert await run("mailq", scene=scene) == (0, "Mail queue is empty\n", "")
    assert await run("postqueue", "-j", scene=scene) == (0, "", "")


async def test_the_listing_for_people(scene):
    first, second = a_message("a@one.test", "b@two.test"), a_message("c@one.test", sender="")
    second.hold = True
    await deferred(scene, first, second)
    _, out, _ = await run("postqueue", "-p", scene=scene)
    when = time.ctime(first.arrival)[:20]
    assert out.splitlines() == [
        "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------",
        f"{first.queue_id}      17 {when} a@example.com",
        "(deferred transport)".rjust(78),
        " " * 41 + "   a@one.test"[3:],
        " " * 41 + "b@two.test",
        "",
        f"{second.queue_id}!      17 {when} MAILER-DAEMON",
        " " * 41 + "c@one.test",
        "",
        "-- 0 Kbytes in 2 Requests.",
    ]


async def test_the_listing_for_programs(scene):
    message = a_message("a@one.test")
    await deferred(scene, message)
    assert await entries(scene) == [
        {
            "queue_name": "deferred",
            "queue_id": message.queue_id,
            "arrival_time": int(message.arrival),
            "message_size": 17,
            "forced_expire": False,
            "sender": "a@example.com",
            "recipients": [{"address": "a@one.test", "delay_reason": "deferred transport"}],
        }
    ]


async def test_addresses_are_quoted_where_they_have_to_be(scene):
    await deferred(scene, a_message("a b@one.test"))
    (entry,) = await entries(scene)
    assert entry["recipients"][0]["address"] == '"a b"@one.test'
    assert '"a b"@one.test' in (await run("postqueue", "-p", scene=scene))[1]


async def test_mail_under_way_is_active(scene):
    scene.agent.delay = 1
    await take_in(scene, a_message("a@one.test"))
    assert [entry["queue_name"] for entry in await entries(scene)] == ["active"]


async def test_what_sendmail_left_is_listed_as_maildrop(scene):
    from posthouse.protocols.maildrop_file import write_envelope

    path = Path(scene.settings.text("queue_directory")) / "maildrop" / "ABC123"
    path.write_bytes(write_envelope(a_message("a@one.test").envelope, 1.0) + b"Subject: x\n\nx\n")
    (entry,) = await entries(scene)
    assert (entry["queue_name"], entry["queue_id"], entry["message_size"]) == ("maildrop", "ABC123", 14)


async def test_flushing_all_one_and_a_site(scene):
    one, two = a_message("a@one.test"), a_message("b@two.test")
    await deferred(scene, one, two)

    def tried() -> int:
        return len(scene.agent.requests)

    assert await run("postqueue", "-i", one.queue_id, scene=scene) == (0, "", "")
    await until(lambda: tried() == 3)
    assert await run("postqueue", "-s", "one.test", scene=scene) == (0, "", "")
    await until(lambda: tried() == 4)
    assert await run("postqueue", "-f", scene=scene) == (0, "", "")
    await until(lambda: tried() == 6)
    assert [r.message.queue_id for r in scene.agent.requests[2:4]] == [one.queue_id] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-i", "x/y"), 'Cannot flush queue ID - invalid name: "x/y"'),
        (("-s", "elsewhere.test"), 'Flush service is not configured for destination "elsewhere.test"'),
        (("-s", "else where"), 'Cannot flush mail queue - invalid destination: "else where"'),
        ((), "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"),
        (("-p", "-j"), "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"),
    ],
)
async def test_what_postqueue_refuses(scene, words, said):
    assert await run("postqueue", *words, scene=scene) == (69, "", f"postqueue: fatal: {said}\n")


@needs_root
async def test_hold_release_and_delete(scene):
    queue_directory = scene.settings.text("queue_directory")
    os.makedirs(f"{queue_directory}/pid", exist_ok=True)
    lock = pid_file.take(queue_directory)  # commands write to the log of a mail system that is up
    pid_file.write(lock, os.getpid())
    one, two = a_message("a@one.test"), a_message("b@two.test")
    await deferred(scene, one, two)
    code, out, err = await run("postsuper", "-h", one.queue_id, scene=scene)
    assert (code, out) == (0, "")
    assert err == f"postsuper: {one.queue_id}: placed on hold\npostsuper: Placed on hold: 1 message\n"
    assert [entry["queue_name"] for entry in await entries(scene)] == ["hold", "deferred"]
    scene.agent.answer = None
    _, _, err = await run("postsuper", "-H", one.queue_id, scene=scene)
    assert err == f"postsuper: {one.queue_id}: released from hold\npostsuper: Released from hold: 1 message\n"
    await until(lambda: any("removed" in line for line in scene.lines))
    _, _, err = await run("postsuper", "-d", "0123456789", scene=scene)
    assert err == "postsuper: Deleted: 0 messages\n"
    _, _, err = await run("postsuper", "-d", "-", stdin=f"{two.queue_id}*\n", scene=scene)
    assert err == f"postsuper: {two.queue_id}: removed\npostsuper: Deleted: 1 message\n"
    assert await entries(scene) == []
    log = Path(scene.settings.text("maillog_file")).read_text()
    assert re.search(rf"postfix/postsuper\[\d+\]: {one.queue_id}: placed on hold", log)
    os.close(lock)


@needs_root
async def test_all_of_a_queue(scene):
    await deferred(scene, *(a_message("a@one.test") for _ in range(3)))
    assert (await run("postsuper", "-h", "ALL", scene=scene))[2] == "postsuper: Placed on hold: 3 messages\n"
    assert (await run("postsuper", "-d", "ALL", "deferred", scene=scene))[2] == "postsuper: Deleted: 0 messages\n"
    assert (await run("postsuper", "-d", "ALL", scene=scene))[2] == "postsuper: Deleted: 3 messages\n"
    assert (await run("postsuper", "-d", "ALL", "bogus", scene=scene)) == (
        1, "", "postsuper: fatal: invalid directory name: bogus\n",
    )  # fmt: skip


@needs_root
async def test_requeued_mail_goes_through_cleanup_again(scene):
    message = a_message("a@one.test")
    await deferred(scene, message)
    _, _, err = await run("postsuper", "-r", message.queue_id, scene=scene)
    assert err == f"postsuper: {message.queue_id}: requeued\npostsuper: Requeued: 1 message\n"
    assert [entry["queue_name"] for entry in await entries(scene)] == ["maildrop"]
    await scene.control._requeue({}, None)
    (submission,) = scene.intake.taken
    assert submission.content.header.startswith(b"Received: by ")
    uid = os.getuid()
    assert (
        f"postfix/pickup: {submission.queue_id}: uid={uid} from=<a@example.com> orig_id={message.queue_id}"
        in scene.lines
    )
    await until(lambda: not scene.qmgr.active)
    assert [entry["queue_id"] for entry in await entries(scene)] == [submission.queue_id]


@needs_root
async def test_forced_expiry_returns_the_message(scene):
    message = a_message("a@one.test")
    await deferred(scene, message)
    _, _, err = await run("postsuper", "-e", message.queue_id, scene=scene)
    assert err == f"postsuper: {message.queue_id}: expired\npostsuper: Force-expired: 1 message\n"
    await until(lambda: scene.bouncer.failures)
    said = f"postfix/qmgr: {message.queue_id}: from=<a@example.com>, status=force-expired, returned to sender"
    assert said in scene.lines


async def test_postcat(scene):
    origin = Origin("unknown", "10.5.0.1", "1234", "client.example.net", "ESMTP", "unknown", source="REMOTE")
    message = a_message("a@one.test", sender="", origin=origin, rewrite_context="remote")
    await deferred(scene, message)
    _, out, _ = await run("postcat", "-q", message.queue_id, scene=scene)
    name = f"deferred/{message.queue_id[0]}/{message.queue_id}"
    when = time.ctime(message.arrival)
    assert out.splitlines() == [
        f"*** ENVELOPE RECORDS {name} ***",
        out.splitlines()[1],
        f"message_arrival_time: {when}",
        f"create_time: {when}",
        f"named_attribute: log_ident={message.queue_id}",
        "named_attribute: rewrite_context=remote",
        "sender: ",
        "named_attribute: log_client_name=unknown",
        "named_attribute: log_client_address=10.5.0.1",
        "named_attribute: log_client_port=1234",
        "named_attribute: log_message_origin=unknown[10.5.0.1]",
        "named_attribute: log_helo_name=client.example.net",
        "named_attribute: log_protocol_name=ESMTP",
        "named_attribute: client_name=unknown",
        "named_attribute: reverse_client_name=unknown",
        "named_attribute: client_address=10.5.0.1",
        "named_attribute: client_port=1234",
        "named_attribute: helo_name=client.example.net",
        "named_attribute: protocol_name=ESMTP",
        "named_attribute: client_address_type=2",
        "named_attribute: dsn_orig_rcpt=rfc822;a@one.test",
        "original_recipient: a@one.test",
        "recipient: a@one.test",
        f"*** MESSAGE CONTENTS {name} ***",
        "Subject: x",
        "",
        "text",
        f"*** HEADER EXTRACTED {name} ***",
        f"*** MESSAGE FILE END {name} ***",
    ]
    assert out.splitlines()[1].startswith("message_size:              17 ")
    assert (await run("postcat", "-h", "-q", message.queue_id, scene=scene))[1] == "Subject: x\n"
    assert (await run("postcat", "-b", "-q", message.queue_id, scene=scene))[1] == "\ntext\n"
    assert "Subject" not in (await run("postcat", "-e", "-q", message.queue_id, scene=scene))[1]
    assert await run("postcat", "-q", "NOSUCH123", scene=scene) == (
        1, "", "postcat: fatal: open queue file NOSUCH123: No such file or directory\n",
    )  # fmt: skip
    assert (await run("postcat", "-q", "../x", scene=scene))[2] == "postcat: fatal: bad mail queue ID: ../x\n"


async def test_qshape(scene):
    await deferred(scene, a_message("a@one.test", "b@one.test"), a_message("c@two.test", arrival=time.time() - 700))
    _, out, _ = await run("qshape", "-b", "3", "deferred", scene=scene)
    assert out.splitlines() == [
        " " * 30 + "  T 5 10 10+",
        f"{'TOTAL':>30}  3 2  0   1",
        f"{'one.test':>30}  2 2  0   0",
        f"{'two.test':>30}  1 0  0   1",
    ]


async def test_while_the_mail_system_is_down_the_queue_can_still_be_seen_and_changed(tmp_path):
    for folder in ("public", "private", "maildrop"):
        (tmp_path / "queue" / folder).mkdir(parents=True)
    scene = a_house(tmp_path)
    one, two = a_message("a@one.test"), a_message("b@two.test")
    await scene.store.put(one)
    await scene.store.put(two)
    await scene.store.settle(Settlement(one.queue_id, deferred={0: WAITS}, due=5.0))
    await scene.store.close()
    code, out, err = await run("postqueue", "-j", scene=scene)
    assert code == 0
    assert "postqueue: warning: Mail system is down -- accessing queue directly" in err
    assert [json.loads(line)["queue_name"] for line in out.splitlines()] == ["deferred", "incoming"]
    assert await run("postqueue", "-f", scene=scene) == (
        69, "", "postqueue: fatal: Cannot flush mail queue - mail system is down\n",
    )  # fmt: skip
    if os.geteuid() == 0:
        assert (await run("postsuper", "-d", one.queue_id, scene=scene))[2].endswith("Deleted: 1 message\n")
        assert len((await run("postqueue", "-j", scene=scene))[1].splitlines()) == 1
