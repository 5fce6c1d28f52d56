"""pickup judges what anybody may have put into maildrop/."""

from __future__ import annotations

import os
import time

import pytest

from posthouse.config.settings import from_text
from posthouse.errors import TemporaryFailure
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
