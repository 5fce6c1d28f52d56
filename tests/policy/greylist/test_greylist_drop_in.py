"""postgrey's answers to requests, with a clock of the test's own."""

from __future__ import annotations

import sqlite3

import pytest

from posthouse.policy.greylist.drop_in import Books, Options, Postgrey, Whitelists
from posthouse.policy.greylist.rules import Times
from posthouse.policy.greylist.sqlite import SqliteStore
from posthouse.policy.greylist.store import Kind
from posthouse.policy.greylist.whitelist import read_clients, read_recipients

TEXT = "Greylisted, see http://postgrey.schweikert.ch/help/example.org.html"


class Scene:
    """A postgrey at a time that the test sets."""

    def __init__(self, folder, options=None, whitelists=None):
        self.now, self.log = 1_800_000_000.0, []
        self.store = SqliteStore(str(folder / "g.db"))
        books = Books(self.log.append, self.log.append, lambda text: self.log.append(f"ALARM {text}"))
        options = options or Options(Times(client_count=2), host="mail.example.com")
        self.postgrey = Postgrey(options, self.store, whitelists or Whitelists(), books, lambda: self.now)

    async def ask(self, **attributes):
        given = {
            "request": "smtpd_access_policy",
            "client_address": "198.51.100.7",
            "client_name": "unknown",
            "sender": "friend@sender.test",
            "recipient": "info@example.org",
        }
        return await self.postgrey.answer(
            {name: value for name, value in (given | attributes).items() if value is not None}
        )


@pytest.fixture
async def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    await made.store.close()


async def test_mail_waits_and_comes_again_with_a_header(scene):
    assert await scene.ask() == f"DEFER_IF_PERMIT {TEXT}"
    scene.now += 100
    assert await scene.ask(etrn_domain="") == f"DEFER_IF_PERMIT 4.2.0 {TEXT}"
    scene.now += 200
    answer = await scene.ask(client_address="198.51.100.200", sender="Friend+x@Sender.test", instance="1")
    assert answer.startswith("PREPEND X-Greylist: delayed 300 seconds by postgrey-1.37 at mail.example.com; ")
    assert await scene.ask() == "DUNNO"
    about = "client_name=unknown, client_address=198.51.100.7, sender=friend@sender.test, recipient=info@example.org"
    assert scene.log[0] == f"action=greylist, reason=new, {about}"
    assert scene.log[1] == f"action=greylist, reason=early-retry (200s missing), {about}"
    assert scene.log[2].startswith("action=pass, reason=triplet found, delay=300, client_name=unknown")
    assert scene.log[3] == f"action=pass, reason=triplet found, {about}"


async def test_a_message_gets_one_header_however_many_recipients_it_has(scene):
    for recipient in ("a@example.org", "b@example.org"):
        await scene.ask(recipient=recipient)
    scene.now += 301
    assert (await scene.ask(recipient="a@example.org", instance="7.1")).startswith("PREPEND")
    assert await scene.ask(recipient="b@example.org", instance="7.1") == "DUNNO"


async def test_a_client_that_proved_itself_twice_is_trusted(scene):
    for number in range(2):
        await scene.ask(sender=f"s{number}x@sender.test")
        scene.now += 3600
        await scene.ask(sender=f"s{number}x@sender.test")
    assert "whitelisted: unknown[198.51.100.7]" in scene.log
    assert await scene.ask(sender="stranger@sender.test") == "DUNNO"
    assert scene.log[-1].startswith("action=pass, reason=client AWL, ")
    assert (await scene.ask(sender="stranger@sender.test", client_address="198.51.100.8")).startswith("DEFER")


async def test_lists_come_first(tmp_path):
    lists = Whitelists(read_clients([("f", ["good.test"])]), read_recipients([("f", ["abuse@"])]))
    scene = Scene(tmp_path, whitelists=lists)
    assert await scene.ask(client_name="mx.good.test") == "DUNNO"
    assert await scene.ask(recipient="abuse@example.org") == "DUNNO"
    assert "reason=client whitelist" in scene.log[0]
    assert "reason=recipient whitelist" in scene.log[1]
    await scene.store.close()


@pytest.mark.parametrize("missing", ["client_address", "client_name", "sender", "recipient"])
async def test_a_request_without_what_is_needed_passes(scene, missing):
    assert await scene.ask(**{missing: None}) == "DUNNO"
    assert scene.log == [f"attribute missing: {missing}"]


async def test_nonsense_passes(scene):
    assert await scene.ask(client_address="unknown") == "DUNNO"
    assert await scene.ask(request="junk") == "DUNNO"
    assert scene.log[-1] == "unrecognized request type: 'junk'"


async def test_the_null_sender_and_no_recipient_are_senders_and_recipients_too(scene):
    assert (await scene.ask(sender="")).startswith("DEFER")
    assert scene.log[-1].endswith("client_address=198.51.100.7, recipient=info@example.org")
    assert (await scene.ask(recipient="")).endswith("/help/.html")


async def test_texts_have_the_seconds_and_the_domain(tmp_path):
    options = Options(action="451", text="%s %r", header="X-G: %t|%v|%h", host="h")
    scene = Scene(tmp_path, options)
    assert await scene.ask() == "451 300 example.org"
    scene.now += 300
    assert await scene.ask() == "PREPEND X-G: 300|1.37|h"
    await scene.store.close()


async def test_with_privacy_nothing_can_be_read_in_the_database(tmp_path):
    scene = Scene(tmp_path, Options(is_private=True))
    await scene.ask()
    scene.now += 300
    assert (await scene.ask()).startswith("PREPEND")
    kept = [kept async for kept in scene.store.scan(None, "")]
    assert {kept.kind for kept in kept} == {Kind.TRIPLET, Kind.CLIENT}
    assert all(len(one.key) == 40 for one in kept)
    await scene.store.close()


async def test_a_database_that_breaks_lets_mail_pass_with_one_alarm(scene, tmp_path):
    other = sqlite3.connect(tmp_path / "g.db")
    other.execute("DROP TABLE seen")
    other.close()
    assert await scene.ask() == "DUNNO"
    assert await scene.ask() == "DUNNO"
    assert len(scene.log) == 1
    assert scene.log[0].startswith("ALARM greylisting is out of order, mail passes without it: ")


async def test_a_full_database_lets_mail_pass(scene):
    scene.store._database.execute("PRAGMA max_page_count = 1")
    answers = {await scene.ask(sender=f"s{'x' * 900}{number}y@sender.test") for number in range(30)}
    assert "DUNNO" in answers
    assert any(line.startswith("ALARM") and "full" in line for line in scene.log)


async def test_old_entries_go_a_few_with_each_request(tmp_path, monkeypatch):
    monkeypatch.setattr("posthouse.policy.greylist.drop_in.EXPIRY_CHUNK", 10)
    scene = Scene(tmp_path)
    for number in range(25):
        await scene.ask(sender=f"s{number}x@sender.test")
    scene.now += 36 * 86400
    for _ in range(3):
        await scene.ask(sender="new@sender.test")
    assert [kept.key async for kept in scene.store.scan(Kind.TRIPLET, "")] == [
        "198.51.100.0/new@sender.test/info@example.org"
    ]
    assert "cleaning up old entries finished: 25 removed" in scene.log
    await scene.store.close()
