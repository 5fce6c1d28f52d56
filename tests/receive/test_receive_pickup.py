"""pickup judges what anybody may have put into maildrop/."""

from __future__ import annotations

import os
import pwd
import time
import tracemalloc
from pathlib import Path

import pytest

from posthouse.config.settings import from_text
from posthouse.errors import TemporaryFailure
from posthouse.mail.content import FilePart
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.mail.status import Status
from posthouse.protocols.maildrop_file import write_envelope
from posthouse.receive import maildrop
from posthouse.receive.pickup import Pickup
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Refused
from posthouse.system.log import MemorySink

ENVELOPE = Envelope("me", (Recipient("you@there"),))


class Intake:
    def __init__(self):
        self.taken, self.answer = [], Accepted("ABC1")

    def new_queue_id(self):
        return "ABC1"

    async def take(self, submission):
        self.taken.append(submission)
        return self.answer


@pytest.fixture
def scene(tmp_path):
    (tmp_path / "maildrop").mkdir()
    (tmp_path / "corrupt").mkdir()
    settings = from_text(f"queue_directory = {tmp_path}\nmyhostname = mx.example.com\n", str(tmp_path))
    house = House(settings, (), MemorySink(), intake=Intake())
    return house, Pickup(None, settings, house, lambda _message: None), tmp_path


def drop(place, content=b"Subject: s\n\ntext\n", envelope=ENVELOPE):
    return maildrop.leave(str(place), [write_envelope(envelope, time.time()), content], 0)


async def test_a_message_is_taken_with_its_owner_and_removed(scene):
    house, pickup, place = scene
    drop(place)
    assert await pickup.take_all() == 1
    (submission,) = house.intake.taken
    received = f"Received: by mx.example.com (Postfix, from userid {os.getuid()})\n\tid ABC1; ".encode()
    assert submission.content.header.startswith(received)
    assert submission.content.header.endswith(b"\nSubject: s\n")
    assert submission.content.body == b"\ntext\n"
    assert house.sink.lines == [f"postfix/pickup: ABC1: uid={os.getuid()} from=<me>"]
    assert not list((place / "maildrop").iterdir())


async def test_a_message_that_cannot_be_queued_now_stays(scene):
    house, pickup, place = scene
    drop(place)
    house.intake.answer = Refused(Status("4.3.1", 452, "full"))
    assert await pickup.take_all() == 0
    assert len(list((place / "maildrop").iterdir())) == 1


@pytest.mark.parametrize("kind", ["link", "fifo", "two names", "writable", "no envelope", "line break", "huge"])
async def test_what_is_no_message_is_not_taken(scene, kind):
    house, pickup, place = scene
    path = place / "maildrop/aaaa"
    good = write_envelope(ENVELOPE, 1.0) + b"a: b\n\n"
    if kind == "link":
        (place / "real").write_bytes(good)
        path.symlink_to(place / "real")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "two names":
        (place / "other").write_bytes(good)
        os.link(place / "other", path)
    elif kind == "writable":
        path.write_bytes(good)
        path.chmod(0o666)
    elif kind == "line break":
        path.write_bytes(write_envelope(Envelope("a\nb", ENVELOPE.recipients), 1.0))
    elif kind == "huge":
        path.touch()
        os.truncate(path, 40_000_000)
    else:
        path.write_bytes(b"[" * 100_000)
    assert await pickup.take_all() == 0
    assert house.intake.taken == []
    assert "not taken" in house.sink.lines[0]
    assert os.listdir(place / "maildrop") == []
    assert os.listdir(place / "corrupt") == ["aaaa"]
    await pickup.take_all()
    assert len(house.sink.lines) == 1


async def test_a_file_that_is_being_written_is_left_alone(scene):
    _, pickup, place = scene
    (place / "maildrop/.new.x").write_bytes(b"half")
    assert await pickup.take_all() == 0
    assert (place / "maildrop/.new.x").exists()


async def test_files_that_have_to_wait_do_not_stand_in_the_way_of_others(scene, monkeypatch):
    house, pickup, place = scene
    monkeypatch.setattr("posthouse.receive.pickup.FILES_AT_A_TIME", 3)
    for _ in range(3):
        drop(place)
    house.intake.answer = Refused(Status("4.3.0", 451, "a table cannot answer"))
    assert await pickup.take_all() == 0
    house.intake.answer = Accepted("ABC2")
    drop(place)
    assert await pickup.take_all() == 1
    assert len(list((place / "maildrop").iterdir())) == 3


async def test_a_notice_that_cannot_be_kept_leaves_the_file_and_pickup_goes_on(scene):
    house, pickup, place = scene

    class Bouncer:
        async def failure(self, message, results):
            return [message]

    async def keep(message):
        raise TemporaryFailure(Status("4.3.1", 452, "no room"))

    pickup._keep, house.bouncer = keep, Bouncer()
    house.intake.answer = Refused(Status("5.7.1", 550, "no such thing here"))
    drop(place)
    assert await pickup.take_all() == 0
    assert len(list((place / "maildrop").iterdir())) == 1


@pytest.mark.parametrize("arrival", [float("nan"), -1.0, 1e30, float("inf")])
async def test_a_time_that_cannot_be_true_is_now(scene, arrival):
    house, pickup, place = scene
    maildrop.leave(str(place), [write_envelope(ENVELOPE, arrival), b"a: b\n\n"], 0)
    assert await pickup.take_all() == 1
    assert abs(house.intake.taken[0].arrival - time.time()) < 10


async def test_a_large_message_is_streamed_to_the_spool(scene):
    house, pickup, place = scene
    line = b"x" * 99 + b"\n"
    drop(place, b"Subject: large\n\n" + line * 90_000)
    taken = []

    async def take(submission):
        taken.append((submission, Path(submission.content.body.path).read_bytes()))
        return Accepted("ABC1")

    house.intake.take = take
    tracemalloc.start()
    assert await pickup.take_all() == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    ((submission, body),) = taken
    assert submission.content.header.endswith(b"\nSubject: large\n")
    assert body == b"\n" + line * 90_000
    assert submission.content.body.length == len(body)
    assert peak < 9_000_000 + 4_000_000  # the body that this test reads, and little more
    assert os.listdir(place / "posthouse/spool") == ["ABC1"]


async def test_nothing_of_a_large_message_that_is_refused_stays_in_the_spool(scene):
    house, pickup, place = scene
    drop(place, b"Subject: large\n\n" + b"text\n" * 400_000)
    house.intake.answer = Refused(Status("4.3.1", 452, "full"))
    assert await pickup.take_all() == 0
    assert isinstance(house.intake.taken[0].content.body, FilePart)
    assert os.listdir(place / "posthouse/spool") == []
    assert len(list((place / "maildrop").iterdir())) == 1


@pytest.mark.parametrize(
    ("users", "is_taken"),
    [
        ("static:anyone", True),
        ("{me}", True),
        ("!{me}, static:anyone", False),
        ("somebodyelse", False),
        ("", False),
        ("inline:{{{me}=yes}}", True),
        ("inline:{{somebodyelse=yes}}", False),
    ],
)
async def test_only_authorized_users_submit(tmp_path, scene, users, is_taken):
    house, _, place = scene
    me = pwd.getpwuid(os.getuid()).pw_name
    settings = from_text(f"queue_directory = {place}\nauthorized_submit_users = {users.format(me=me)}\n", str(place))
    drop(place)
    assert await Pickup(None, settings, house, lambda _message: None).take_all() == int(is_taken)
    assert bool(house.intake.taken) == is_taken
    if not is_taken:
        assert f"user {me}({os.getuid()}) is not allowed to submit mail" in house.sink.lines[0]


async def test_where_the_list_of_users_cannot_be_asked_mail_waits(scene):
    house, _, place = scene
    settings = from_text(f"queue_directory = {place}\nauthorized_submit_users = fail:broken\n", str(place))
    drop(place)
    assert await Pickup(None, settings, house, lambda _message: None).take_all() == 0
    assert len(list((place / "maildrop").iterdir())) == 1
