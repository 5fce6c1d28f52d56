from __future__ import annotations

import pytest

from cleanup.cleanup_scene import ORIGIN, Scene, addresses
from filters.milter_server import MilterServer, changed, inserted
from posthouse.cleanup.milter_body import NewBody, pieces_of
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Notify, Recipient
from posthouse.services.intake import Discarded, Refused, Skip, Submission

TEXT = "Received: by us\nSubject: x\nX-A: one\nx-a: two\nX-B: bee\nX-A: three\n\nbody one\n.two\n"


async def seen(tmp_path, *answers, main_cf="", text=TEXT, **submission):
    """The message after a milter that gives these answers at its end; the log, and the milter."""
    async with MilterServer({"E": (*answers, b"c")}) as server:
        scene = Scene(tmp_path, f"non_smtpd_milters = {server.name}\nqueue_directory = {tmp_path}\n{main_cf}")
        message = await scene.take(text, **submission)
    return message, scene.log, server


def header(message):
    return message.content.header.decode().splitlines()


async def test_a_milter_sees_the_message_without_our_own_field(tmp_path):
    message, _, server = await seen(tmp_path)
    assert server.fields()[0] == [b"Subject", b"x"]
    assert server.body() == b"body one\r\n.two\r\n"
    assert message.content == Content(
        *(part.encode() for part in (TEXT[: TEXT.index("\n\n") + 1], "\nbody one\n.two\n"))
    )


async def test_fields_go_where_a_milter_wants_them(tmp_path):
    answers = (
        inserted(1, b"X-I1", b"one"), inserted(2, b"X-I2", b"two"), inserted(0, b"X-I0", b"zero"),
        inserted(100, b"X-I100", b"far"), b"hX-Add\0a\r\nb\n\tc\n\0",
    )  # fmt: skip
    message, _, _ = await seen(tmp_path, *answers)
    names = [line.partition(":")[0] for line in header(message)]
    assert names[:5] == ["X-I0", "Received", "X-I1", "X-I2", "Subject"]
    assert header(message)[-4:] == ["X-I100: far", "X-Add: a", "\tb", "\tc"]


@pytest.mark.parametrize(
    ("answers", "fields"),
    [
        ((changed(2, b"X-A", b"TWO"),), ["X-A: one", "X-A: TWO", "X-B: bee", "X-A: three"]),
        ((changed(0, b"X-A", b"zero"),), ["X-A: zero", "x-a: two", "X-B: bee", "X-A: three"]),
        ((changed(1, b"X-A", b""),) * 2, ["X-B: bee", "X-A: three"]),
        ((changed(1, b"X-A", b""),) * 3, ["X-B: bee"]),
        ((changed(9, b"X-A", b"n"),), ["X-A: one", "x-a: two", "X-B: bee", "X-A: three", "X-A: n"]),
        ((changed(9, b"X-A", b""),), ["X-A: one", "x-a: two", "X-B: bee", "X-A: three"]),
    ],
)
async def test_fields_are_counted_by_name_and_anew_after_each_change(tmp_path, answers, fields):
    message, _, _ = await seen(tmp_path, *answers)
    assert header(message)[2:] == fields


async def test_our_own_received_field_cannot_be_changed(tmp_path):
    message, _, _ = await seen(tmp_path, changed(1, b"Received", b"by them"))
    assert (header(message)[0], header(message)[-1]) == ("Received: by us", "Received: by them")


async def test_what_is_no_field_is_not_added(tmp_path):
    message, log, _ = await seen(tmp_path, b"hBad Name\0x\0", b"h\0x\0")
    assert header(message) == TEXT.partition("\n\n")[0].splitlines()
    assert "warning: QID: ignoring what is no header field from Milter: Bad Name: x" in log


async def test_a_new_body_is_put_together_from_its_parts(tmp_path):
    message, _, _ = await seen(tmp_path, b"bnew\r", b"b\nbody\r\n.dot", b"bno end")
    assert message.content.body == b"\nnew\nbody\n.dotno end\n"
    message, _, _ = await seen(tmp_path, b"b")
    assert message.content.body == b"\n"


async def test_large_bodies_are_streamed_both_ways_and_stay_as_they_are(tmp_path):
    large = tmp_path / "large"
    content = b"\n" + b"".join(b"line %d\n" % number for number in range(200_000))
    large.write_bytes(content)
    submission = Submission(
        Envelope("a@b.test", (Recipient("c@d.test"),), origin=ORIGIN, rewrite_context=""),
        Content(b"Received: by us\nSubject: x\n", FilePart(str(large), 0, len(content))), 1795363976.0, "QID",
    )  # fmt: skip
    async with MilterServer() as server:
        scene = Scene(tmp_path, f"non_smtpd_milters = {server.name}\nqueue_directory = {tmp_path}\n")
        message = await scene.cleanup.make_fit(submission)
    assert server.body() == content[1:].replace(b"\n", b"\r\n")
    assert message.content.body == FilePart(str(large), 0, len(content))
    parts = [b"b" + b"0123456789\r\n" * 5000] * 30
    async with MilterServer({"E": (*parts, b"c")}) as server:
        scene = Scene(tmp_path, f"non_smtpd_milters = {server.name}\nqueue_directory = {tmp_path}\n")
        message = await scene.cleanup.make_fit(submission)
    assert isinstance(message.content.body, FilePart)
    assert b"".join(pieces_of(message.content.body)) == b"0123456789\r\n" * 150_000


async def test_a_new_body_beyond_message_size_limit_is_refused_and_leaves_nothing(tmp_path):
    parts = [b"b" + b"0123456789\r\n" * 5000] * 40
    refused, _, _ = await seen(tmp_path, *parts, main_cf="message_size_limit = 1500000\n")
    assert isinstance(refused, Refused)
    assert refused.status.dsn == "5.3.4"
    assert [path.name for path in tmp_path.rglob("*milter*")] == []


def test_a_new_body_is_kept_within_bounds(tmp_path):
    body = NewBody(str(tmp_path / "spool/new"), 0)
    body.keep(b"x" * 600_000)
    body.keep(b"\r\n" + b"y" * 600_000)
    part = body.finish()
    assert (tmp_path / "spool/new").read_bytes() == b"\n" + b"x" * 600_000 + b"\n" + b"y" * 600_000 + b"\n"
    assert part.length == 1_200_003


async def test_the_envelope_changes(tmp_path):
    answers = (
        b"e<new@sender.test>\0RET=HDRS ENVID=abc SIZE=1\0", b"+<new@remote.test>\0", b'+<"a b"@remote.test>\0', b"+bare\0",
        b"2<par@remote.test>\0NOTIFY=NEVER ORCPT=rfc822;x@y FOO=bar\0", b"-<Out@remote.test>\0",
    )  # fmt: skip
    message, log, _ = await seen(tmp_path, *answers, to=("out@remote.test", "keep@remote.test"))
    assert addresses(message) == [
        "keep@remote.test", "new@remote.test", "a b@remote.test", "bare@example.com", "par@remote.test",
    ]  # fmt: skip
    assert (message.envelope.sender, message.envelope.ret, message.envelope.envid) == ("new@sender.test", "HDRS", "abc")
    last = message.envelope.recipients[-1]
    assert (last.notify, last.orcpt) == (Notify.NEVER, "rfc822;x@y")
    assert 'warning: Ignoring bad ESMTP parameter "SIZE=1" in SMFI_CHGFROM request' in log
    assert 'warning: QID: ignoring ESMTP argument from Milter or header/body_checks: "FOO=bar"' in log


async def test_mail_that_nobody_is_to_get_any_more_ends(tmp_path):
    discarded, log, _ = await seen(tmp_path, b"-<out@remote.test>\0")
    assert discarded == Discarded("QID")
    assert "milter has deleted all recipients" in log[-1]


async def test_quarantine_holds_the_message(tmp_path):
    message, log, _ = await seen(tmp_path, b"qlook\0", b"qagain\0")
    assert message.hold
    about = "from=<friend@sender.test> to=<out@remote.test> proto=ESMTP helo=<client.test>"
    held = f"QID: milter-hold: END-OF-MESSAGE from unknown[198.51.100.7]: milter triggers HOLD action; {about}"
    assert log.count(held) == 1


@pytest.mark.parametrize(
    ("answer", "code", "dsn", "text"),
    [
        (b"r", 550, "5.7.1", "Command rejected"),
        (b"t", 451, "4.7.1", "Service unavailable - try again later"),
        (b"y554 5.7.9 100%% spam\0", 554, "5.7.9", "100% spam"),
        (b"y554 no code\0", 554, "5.7.1", "no code"),
    ],
)
async def test_a_refusal_keeps_nothing(tmp_path, answer, code, dsn, text):
    refused, log, _ = await seen(tmp_path, b"hX-Z\0z\0", answer)
    assert isinstance(refused, Refused)
    assert (refused.status.code, refused.status.dsn, refused.status.text) == (code, dsn, text)
    assert any(line.startswith("QID: milter-reject: END-OF-MESSAGE from unknown[198.51.100.7]: ") for line in log)


async def test_milters_that_are_left_out_are_not_asked(tmp_path):
    _, _, server = await seen(tmp_path, b"r", skip=Skip.MILTERS)
    assert server.heard == []


CHECKS = """milter_header_checks = inline:{
 { X-Hold: yes = HOLD held here }, { X-Ign: yes = IGNORE }, { X-Repl: yes = REPLACE X-Rep: new },
 { X-Pre: yes = PREPEND X-P: y }, { X-Rej: yes = REJECT no way }, { X-Drop: yes = DISCARD gone },
 { X-Copy: yes = BCC copy@example.org } }
"""


async def test_milter_header_checks_look_at_what_milters_add(tmp_path):
    answers = [b"h%s\0yes\0" % name for name in (b"X-Hold", b"X-Ign", b"X-Repl", b"X-Pre")]
    message, log, _ = await seen(tmp_path, *answers, main_cf=CHECKS)
    assert message.hold
    assert header(message)[-3:] == ["X-Hold: yes", "X-Rep: new", "X-Pre: yes"]
    about = "from=<friend@sender.test> to=<out@remote.test> proto=ESMTP helo=<client.test>"
    assert f"QID: milter-header-hold: header X-Hold: yes from unknown[198.51.100.7]; {about}: held here" in log
    assert "warning: the milter_header/body_checks prepend action is not implemented" in log
    refused, _, _ = await seen(tmp_path, b"hX-Rej\0yes\0", main_cf=CHECKS)
    assert isinstance(refused, Refused)
    assert (refused.status.code, refused.status.text) == (550, "no way")
    dropped, _, _ = await seen(tmp_path, b"hX-Drop\0yes\0", main_cf=CHECKS)
    assert dropped == Discarded("QID")
    copied, _, _ = await seen(tmp_path, b"hX-Copy\0yes\0", main_cf=CHECKS)
    assert [recipient.address for recipient in copied.envelope.recipients] == ["out@remote.test", "copy@example.org"]


async def test_of_two_milters_the_second_sees_a_field_that_the_first_put_on_top(tmp_path):
    async with MilterServer({"E": (b"i\0\0\0\0X-Top\0yes\0", b"c")}) as first, MilterServer() as second:
        scene = Scene(tmp_path, f"non_smtpd_milters = {first.name}, {second.name}\n")
        await scene.take("Received: own\nSubject: x\n\ntext\n")
    assert [field[0] for field in second.fields()] == [b"X-Top", b"Subject"]


async def test_local_mail_comes_in_an_acted_session(tmp_path):
    async with MilterServer() as server:
        scene = Scene(tmp_path, f"non_smtpd_milters = {server.name}\nqueue_directory = {tmp_path}\n")
        envelope = Envelope("joe@example.com", (Recipient("out@remote.test"), Recipient("bare")))
        content = Content(b"Received: by us\nSubject: x\n", b"\nbody\n")
        await scene.cleanup.make_fit(Submission(envelope, content, 1795363976.0, "QID"))
    assert server.letters.startswith("OCHMRRTLLLLNBE")
    assert server.heard[1:6] == [
        ("C", b"localhost\0004\0\000127.0.0.1\0"), ("H", b"localhost\0"), ("M", b"joe@example.com\0"),
        ("R", b"out@remote.test\0"), ("R", b"bare@example.com\0"),
    ]  # fmt: skip
    assert server.macros["M"] == {"i": "QID", "{mail_addr}": "joe@example.com"}
    assert server.macros["C"]["_"] == "localhost [127.0.0.1]"


async def test_local_mail_waits_where_a_milter_refuses_single_recipients(tmp_path):
    async with MilterServer({"R": (b"r",)}) as server:
        scene = Scene(tmp_path, f"non_smtpd_milters = {server.name}\nqueue_directory = {tmp_path}\n")
        envelope = Envelope("joe@example.com", (Recipient("out@remote.test"),))
        content = Content(b"Received: by us\nSubject: x\n", b"\nbody\n")
        answer = await scene.cleanup.make_fit(Submission(envelope, content, 1795363976.0, "QID"))
    assert answer.status.is_temporary
    assert "warning: QID: milter configuration error: can't reject recipient in non-smtpd(8) submission" in scene.log
