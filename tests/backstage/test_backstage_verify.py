"""Address verification: one probe for many who ask, answers that last, silence that does not block."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.backstage.verify import AddressVerifier
from posthouse.config.settings import load
from posthouse.mail.content import Content
from posthouse.mail.envelope import Envelope, Recipient, Trace
from posthouse.mail.message import QueuedMessage
from posthouse.mail.outcome import Bounced, Deferred, Sent
from posthouse.mail.status import Status
from posthouse.services.delivery import Result
from posthouse.services.house import House
from posthouse.services.intake import Accepted, Discarded
from posthouse.services.verifying import Reachability
from posthouse.system.log import MemorySink


class Intake:
    def __init__(self, answer=None):
        self.taken, self.answer, self.verifier, self.discards = [], answer, None, False

    def new_queue_id(self):
        return f"AB{len(self.taken)}"

    async def take(self, submission):
        self.taken.append(submission)
        if self.answer:
            message = QueuedMessage(submission.queue_id, 0.0, submission.envelope, submission.content, 0)
            asyncio.get_running_loop().call_soon(self.verifier.report, message, [Result(0, self.answer)])
        return Discarded(submission.queue_id) if self.discards else Accepted(submission.queue_id)


@pytest.fixture
def verifier_for(tmp_path):
    def make(intake, **settings):
        lines = {
            "myhostname": "mx.example.com",
            "data_directory": str(tmp_path / "data"),
            "address_verify_poll_delay": "1s",
            "address_verify_poll_count": "1",
            **settings,
        }
        (tmp_path / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        settings = load(str(tmp_path))
        intake.verifier = AddressVerifier(settings, House(settings, (), MemorySink(), intake=intake))
        return intake.verifier

    return make


GOOD = Sent(Status("2.1.5", 250, "250 2.1.5 Ok"), "mx[1]:25", deliverable=True)
GONE = Bounced(Status("5.1.1", 550, "host said: 550 5.1.1 gone"))


async def test_a_probe_is_sent_from_the_double_bounce_sender_and_delivers_nothing(verifier_for):
    intake = Intake(GOOD)
    answer = await verifier_for(intake).verify("a@b.test")
    assert answer.reachability is Reachability.REACHABLE
    envelope = intake.taken[0].envelope
    assert (envelope.sender, envelope.trace) == ("double-bounce@mx.example.com", Trace.PROBE)


async def test_what_is_known_is_not_asked_again_and_outlives_a_restart(verifier_for):
    intake = Intake(GONE)
    verifier = verifier_for(intake)
    assert (await verifier.verify("a@b.test")).text == "host said: 550 5.1.1 gone"
    assert (await verifier.verify("A@b.test")).reachability is Reachability.UNREACHABLE
    await verifier.close()
    again = Intake()
    assert (await verifier_for(again).verify("a@b.test")).dsn == "5.1.1"
    assert (len(intake.taken), len(again.taken)) == (1, 0)


async def test_many_who_ask_at_once_wait_for_one_probe(verifier_for):
    intake = Intake(GOOD)
    verifier = verifier_for(intake)
    answers = await asyncio.gather(*(verifier.verify("a@b.test") for _ in range(50)))
    assert {answer.reachability for answer in answers} == {Reachability.REACHABLE}
    assert len(intake.taken) == 1


async def test_a_probe_that_does_not_come_back_leaves_the_question_open(verifier_for):
    answer = await verifier_for(Intake()).verify("a@b.test")
    assert answer.reachability is Reachability.UNKNOWN


async def test_negative_answers_are_forgotten_where_the_administrator_says_so(verifier_for):
    intake = Intake(Deferred(Status("4.4.1", 0, "connect to x: Connection refused")))
    verifier = verifier_for(intake, address_verify_negative_cache="no")
    for _ in range(2):
        assert (await verifier.verify("a@b.test")).reachability is Reachability.TEMPORARILY_UNREACHABLE
    assert len(intake.taken) == 2


async def test_one_good_recipient_of_an_alias_is_enough(verifier_for):
    intake = Intake()
    verifier = verifier_for(intake)
    asked = asyncio.ensure_future(verifier.verify("list@b.test"))
    await asyncio.sleep(0)
    recipients = (Recipient("x@c.test", original="list@b.test"), Recipient("y@c.test", original="list@b.test"))
    message = QueuedMessage("AB0", 0.0, Envelope("", recipients), Content(b"", b""), 0)
    verifier.report(message, [Result(0, GONE), Result(1, GOOD)])
    assert (await asked).reachability is Reachability.REACHABLE


async def test_an_alias_that_cleanup_knows_to_have_several_members_is_good(verifier_for):
    intake = Intake()
    verifier = verifier_for(intake)
    intake.discards = True
    assert (await verifier.verify("two@b.test")).text == "aliased to multiple recipients"
