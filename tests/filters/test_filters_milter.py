from __future__ import annotations

import random

import pytest

from filters.milter_server import MilterServer
from posthouse.config.settings import from_text
from posthouse.filters.milter import CLOSES, DISCARDS, HOLDS, Edits, Effect, Ruling
from posthouse.filters.milters import Milters, plan_of
from posthouse.protocols.milter import AddHeader
from posthouse.system.log import DaemonLog, MemorySink

REJECTED = Ruling(Effect.REFUSE, "550 5.7.1 Command rejected")
LATER = Ruling(Effect.REFUSE, "451 4.7.1 Service unavailable - try again later")
NO_SERVICE = Ruling(Effect.REFUSE, "550 5.5.0 Service unavailable")
EXTRA = "milter_command_timeout = 1\nmilter_content_timeout = 1\nmilter_connect_timeout = 1\n"


class Session:
    """A session with milters, as smtpd and cleanup have one."""

    def __init__(self, *servers, main_cf="", rules=None, macros=None):
        listed = rules or ", ".join(server.name for server in servers)
        settings = from_text(f"compatibility_level = 3.6\nsmtpd_milters = {listed}\n{EXTRA}{main_cf}")
        plan = plan_of(settings, "smtpd_milters")
        self.sink = MemorySink()
        known = macros or {"i": "QID", "j": "mx.example.com"}
        self.milters = Milters(plan.rules, plan.lists, known.get, DaemonLog("postfix/smtpd", self.sink))
        self.kept = []

    async def until_data(self):
        milters = self.milters
        rulings = [await milters.connect("", "198.51.100.7", "4242"), await milters.helo("client.test")]
        rulings += [await milters.mail(("<a@b.test>", "SIZE=1")), await milters.rcpt(("<c@d.test>",))]
        rulings.append(await milters.data())
        return rulings

    async def inspect(self, fields=(b"Subject: x",), body=(b"text\r\n",)):
        (milter,) = self.milters
        return await milter.inspect(fields, iter(body), self.kept.append)

    @property
    def log(self):
        return [line.partition(": ")[2] for line in self.sink.lines]


async def test_all_stages_come_in_order_with_what_the_client_said():
    async with MilterServer() as server:
        session = Session(server)
        assert await session.until_data() == [None] * 5
        assert await session.inspect() == Edits()
        session.milters.abort()
        session.milters.disconnect()
        assert server.letters[:11] == "OCHMRTLNBE"
    assert server.heard[1][1] == b"[198.51.100.7]\0004\x10\x92198.51.100.7\0"
    assert server.heard[3][1] == b"<a@b.test>\0SIZE=1\0"
    assert server.macros["E"] == {"i": "QID"}
    assert server.macros["C"] == {"j": "mx.example.com"}


@pytest.mark.parametrize(("letter", "place"), [("C", 0), ("H", 1), ("M", 2), ("R", 3), ("T", 4)])
@pytest.mark.parametrize(
    ("answer", "ruling"),
    [
        (b"r", REJECTED),
        (b"t", LATER),
        (b"y554 5.7.9 100%% %no\0", Ruling(Effect.REFUSE, "554 5.7.9 100% no")),
        (b"4", CLOSES),
    ],
)
async def test_a_refusal_is_possible_at_every_stage(letter, place, answer, ruling):
    async with MilterServer({letter: (answer,)}) as server:
        session = Session(server)
        rulings = await session.until_data()
        session.milters.disconnect()
    assert rulings[:place] == [None] * place
    assert rulings[place] == ruling
    if letter in "CH":  # the client is refused, and all that it says
        assert rulings[place:] == [ruling] * (5 - place)


async def test_an_accepted_message_is_not_shown_any_more_the_next_one_is():
    async with MilterServer({"M": (b"a",)}) as server:
        session = Session(server)
        await session.until_data()
        assert await session.inspect() == Edits()
        assert server.letters == "OCHM"
        session.milters.abort()
        await session.milters.mail(("<a@b.test>",))
        assert server.letters == "OCHMAM"
        session.milters.disconnect()


async def test_an_accepted_client_is_not_shown_any_more():
    async with MilterServer({"C": (b"a",)}) as server:
        session = Session(server)
        await session.until_data()
        session.milters.abort()
        await session.milters.mail(("<a@b.test>",))
        session.milters.disconnect()
        assert server.letters == "OC"


async def test_discard_ends_the_message_and_is_not_for_clients():
    async with MilterServer({"R": (b"d",), "C": (b"d",)}) as server:
        session = Session(server)
        assert await session.until_data() == [None, None, None, DISCARDS, None]
        assert session.log == [f"warning: milter {server.name}: DISCARD action is not allowed for connect or helo"]
        session.milters.disconnect()


async def test_skip_is_about_one_kind_of_event():
    async with MilterServer({"B": (b"s",), "R": (b"s",)}, (6, 0x1FF, 0x400)) as server:
        session = Session(server)
        await session.until_data()
        assert await session.milters.rcpt(("<e@f.test>",)) is None
        await session.inspect(body=(b"x" * 65_000, b"y" * 65_000, b"z"))
        assert server.letters == "OCHMRTRLNBE"
        session.milters.disconnect()


async def test_what_a_milter_does_not_want_is_not_sent_and_what_it_does_not_answer_not_waited_for():
    silent = dict.fromkeys("CHMRTLNB", (MilterServer.SILENT,))
    async with MilterServer(silent, (6, 0x1FF, 0xFF080)) as server:
        session = Session(server)
        assert await session.until_data() == [None] * 5
        assert await session.inspect() == Edits()
        session.milters.disconnect()
    async with MilterServer({}, (6, 0x1FF, 0x37F)) as server:
        session = Session(server)
        await session.until_data()
        await session.inspect()
        assert server.letters == "OE"
        session.milters.disconnect()


ALL_LEFT_OUT = 0x37F  # no event but the end of the message


@pytest.mark.parametrize(("version", "macros"), [(6, "CHMRTE"), (4, "CHMRTE"), (3, "CHMRE"), (2, "CHMRE")])
async def test_the_macros_of_events_that_a_milter_leaves_out_come_all_the_same(version, macros):
    async with MilterServer(negotiation=(version, 0x3F, ALL_LEFT_OUT)) as server:
        session = Session(server, main_cf=f"milter_protocol = {version}\n")
        assert await session.until_data() == [None] * 5
        assert await session.inspect() == Edits()
        session.milters.disconnect()
    assert server.letters.startswith("OE")
    assert "".join(server.macros) == macros


@pytest.mark.parametrize("version", [2, 3, 4, 6])
async def test_old_milters_hear_what_they_know(version):
    async with MilterServer(negotiation=(version, 0x3F, 0)) as server:
        session = Session(server, main_cf=f"milter_protocol = {version}\n")
        assert await session.until_data() == [None] * 5
        assert await session.milters.unknown("WHAT") is None
        assert await session.inspect() == Edits()
        session.milters.disconnect()
    unknown = "U" if version > 2 else ""
    assert server.letters.startswith(f"OCHMR{'T' if version > 3 else ''}{unknown}LNBE")


async def test_names_of_macros_are_sent_as_they_are_configured():
    main_cf = "milter_connect_macros = j foo {bar}\nmilter_macro_defaults = foo=1, bar=2\n"
    async with MilterServer() as server:
        session = Session(server, main_cf=main_cf)
        await session.until_data()
        session.milters.disconnect()
    assert server.macros["C"] == {"j": "mx.example.com", "foo": "1", "{bar}": "2"}


async def test_a_large_body_comes_in_packets_that_the_protocol_allows():
    async with MilterServer() as server:
        session = Session(server)
        await session.until_data()
        await session.inspect(body=(b"0123456789" * 5000,) * 6)
        sizes = [len(data) for letter, data in server.heard if letter == "B"]
        assert sizes == [65_535] * 4 + [300_000 - 4 * 65_535]
        assert server.body() == b"0123456789" * 30_000
        session.milters.disconnect()


async def test_changes_come_with_the_verdict_and_progress_gives_more_time():
    answers = (b"p", b"hX-A\0v\0", b"bnew ", b"bbody", b"c")
    async with MilterServer({"E": answers}) as server:
        session = Session(server)
        await session.until_data()
        assert await session.inspect() == Edits([AddHeader(b"X-A", b"v")], replaces_body=True)
        assert session.kept == [b"new ", b"body"]
        session.milters.disconnect()


async def test_changes_do_not_count_for_a_message_that_is_refused():
    async with MilterServer({"E": (b"hX-A\0v\0", b"r")}) as server:
        session = Session(server)
        await session.until_data()
        assert await session.inspect() == REJECTED
        session.milters.disconnect()


@pytest.mark.parametrize(
    ("action", "ruling"),
    [("accept", None), ("reject", NO_SERVICE), ("tempfail", LATER), ("quarantine", HOLDS), ("shutdown", CLOSES)],
)
async def test_without_its_milter_mail_is_treated_as_milter_default_action_says(action, ruling):
    session = Session(rules="inet:127.0.0.1:1", main_cf=f"milter_default_action = {action}\n")
    assert await session.until_data() == [ruling] * 5
    assert session.log == ["warning: connect to Milter service inet:127.0.0.1:1: Connection refused"]
    session.milters.disconnect()


async def test_settings_of_a_milter_of_its_own_go_before_the_common_ones():
    session = Session(rules="{ inet:127.0.0.1:1, connect_timeout=5s, { default_action = accept }, protocol=4 }")
    assert await session.until_data() == [None] * 5
    (milter,) = session.milters
    assert (milter.rule.connect_timeout, milter.rule.version) == (5, 4)


@pytest.mark.parametrize(
    "rules",
    ["garbage", "{ inet:127.0.0.1:1, foo=bar }", "{ inet:127.0.0.1:1, default_action=maybe }", "inet:host:nosuch"],
)
async def test_a_milter_that_is_written_wrongly_lets_no_mail_through(rules):
    session = Session(rules=rules, main_cf="milter_default_action = accept\n")
    misconfigured = Ruling(Effect.REFUSE, "451 4.3.5 Server configuration problem - try again later")
    assert await session.until_data() == [misconfigured] * 5
    assert len(session.log) == 1


@pytest.mark.parametrize(
    ("letter", "answer", "said"),
    [
        ("M", MilterServer.CLOSE, "can't read SMFIC_MAIL reply packet header: Application error"),
        ("M", MilterServer.SILENT, "can't read SMFIC_MAIL reply packet header: Connection timed out"),
        ("M", b"Z", "unexpected filter response (unknown filter reply) after event SMFIC_MAIL"),
        ("R", b"b", "unexpected filter response SMFIR_REPLBODY after event SMFIC_RCPT"),
    ],
)
async def test_a_milter_that_fails_in_a_session_defers_its_mail_with_the_reason_in_the_log(letter, answer, said):
    async with MilterServer({letter: (answer,)}) as server:
        session = Session(server)
        rulings = await session.until_data()
        assert rulings[-1] == LATER
        assert session.log == [f"warning: milter {server.name}: {said}"]
        session.milters.disconnect()


async def test_a_reply_that_is_no_refusal_is_a_mistake_of_the_configuration():
    async with MilterServer({"M": (b"y250 2.0.0 fine\0",)}) as server:
        session = Session(server)
        rulings = await session.until_data()
        assert rulings[2] == Ruling(Effect.REFUSE, "451 4.3.5 Server configuration problem - try again later")
        assert session.log == [f"warning: milter {server.name}: malformed reply: 250 2.0.0 fine"]


@pytest.mark.parametrize("negotiation", [b"\0\0\0\2XX", b"\x7f\0\0\2XX", (7, 0x1FF, 0), b"GET / HTTP/1.0"])
async def test_what_is_no_milter_is_noticed_at_once(negotiation):
    async with MilterServer({}, negotiation) as server:
        session = Session(server)
        assert await session.until_data() == [LATER] * 5
        assert session.log


async def test_of_two_milters_the_first_that_objects_decides():
    async with MilterServer({"R": (b"r",)}) as first, MilterServer() as second:
        session = Session(first, second)
        assert await session.until_data() == [None, None, None, REJECTED, None]
        assert (first.letters, second.letters) == ("OCHMRT", "OCHMT")
        session.milters.disconnect()


async def test_refused_recipients_are_shown_to_those_who_ask():
    async with MilterServer({}, (6, 0x1FF, 0x800)) as asks, MilterServer() as does_not:
        session = Session(asks, does_not)
        await session.until_data()
        assert session.milters.wants_refused_recipients
        await session.milters.refused_rcpt(("<no@d.test>",))
        assert (asks.letters.count("R"), does_not.letters.count("R")) == (2, 1)
        session.milters.disconnect()


async def test_a_milter_gets_the_macros_it_names_and_defaults_for_those_not_known():
    symbols = b"\0\0\0\2i {x} {nowhere}\0"
    async with MilterServer({}, symbols=symbols) as server:
        session = Session(server, main_cf="milter_macro_defaults = {x}=1, { y = two words }\n")
        await session.until_data()
        assert server.macros["M"] == {"i": "QID", "{x}": "1"}
        session.milters.disconnect()


def _fault(chance):
    """An answer of a milter that has gone mad, or of one that has not."""
    return chance.choice(
        (
            b"c",
            b"c",
            b"c",
            MilterServer.CLOSE,
            chance.randbytes(chance.randint(1, 40)),
            chance.choice((b"h", b"i", b"m", b"b", b"+", b"-", b"e", b"q", b"2", b"y")) + chance.randbytes(5),
            chance.choice((b"hX-A\0v\0", b"y550 5.7.1 no\0", b"a", b"r", b"t", b"d", b"s", b"4", b"f", b"c\0")),
        )
    )


async def test_a_milter_gone_mad_never_lets_a_message_through_unseen():
    """After any answers at all a message is refused, discarded, accepted by word, or has been shown to its end."""
    chance = random.Random(17)
    for _ in range(100):
        rules = {letter: tuple(_fault(chance) for _ in range(chance.randint(1, 2))) for letter in "CHMRTLNBE"}
        async with MilterServer(rules) as server:
            session = Session(server)
            rulings = await session.until_data()
            (milter,) = session.milters
            outcome = None
            if not any(rulings):
                accepted_early = milter.state.value.startswith("accepted")
                outcome = await session.inspect()
                if isinstance(outcome, Edits):
                    assert accepted_early or milter.state.value.startswith("accepted") or "E" in server.letters
            assert outcome is not None or any(rulings)
            session.milters.disconnect()
