"""sendmail: its command line, what it reads, and where it leaves it."""

from __future__ import annotations

import io
import os

import pytest

from posthouse.commands import sendmail
from posthouse.commands.sendmail_options import Stop, read_options
from posthouse.mail.envelope import Notify, Trace
from posthouse.protocols.maildrop_file import read_envelope


@pytest.fixture
def queue(tmp_path, monkeypatch):
    (tmp_path / "maildrop").mkdir()
    (tmp_path / "main.cf").write_text(
        f"queue_directory = {tmp_path}\nmaillog_file = {tmp_path}/log\nmaillog_file_prefixes = /\n"
    )
    monkeypatch.setattr(sendmail, "program", lambda: "sendmail")
    return tmp_path


def run(queue, monkeypatch, words, stdin=b""):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    return sendmail.main(["-C", str(queue), *words])


def dropped(queue):
    (path,) = (queue / "maildrop").iterdir()
    first, _, content = path.read_bytes().partition(b"\n")
    return read_envelope(first)[0], content


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-Z", "x"], "usage: sendmail [options]"),
        (["-F"], "usage: sendmail [options]"),
        (["-bz"], "unsupported: -bz"),
        (["-n", "x"], "-n option not supported"),
        (["-B", "foo", "x"], "-B option needs 8BITMIME or 7BIT"),
        (["-bv", "-t"], "-t option cannot be used with -bv"),
        (["-bs", "-t"], "-t can be used only in delivery mode"),
        (["-bi", "x"], "alias initialization mode requires no recipient"),
        (["-bp", "x"], "display queue mode requires no recipient"),
        (["-bd", "x"], "daemon mode requires no recipient"),
        (["-qSfoo"], "-qS is not implemented"),
        (["-XVabc", "x"], "-V requires two characters from -=+"),
        ([], "Recipient addresses must be specified on the command line or via the -t option"),
        (["-t"], "No recipient addresses found in message header"),
    ],
)
def test_what_cannot_be_done_is_said_and_to_be_tried_again(queue, monkeypatch, capsys, words, text):
    assert run(queue, monkeypatch, words, b"Subject: x\n\n") == 75
    assert text in capsys.readouterr().err
    assert text in (queue / "log").read_text()
    assert not list((queue / "maildrop").iterdir())


def test_options_reach_the_envelope(queue, monkeypatch):
    words = ["-f", "a@b.test", "-F", "Full", "-N", "failure,success", "-R", "hdrs", "-V", "id 1", "-XV+=", "x@y", "z"]
    assert run(queue, monkeypatch, words, b"Subject: s\n\n") == 0
    envelope, content = dropped(queue)
    assert (envelope.sender, envelope.sender_fullname, envelope.ret, envelope.envid) == (
        "a@b.test",
        "Full",
        "HDRS",
        "id 1",
    )
    assert [r.address for r in envelope.recipients] == ["x@y", "z"]
    assert envelope.recipients[0].notify == Notify.FAILURE | Notify.SUCCESS
    assert envelope.verp == "+="
    assert content == b"Subject: s\n\n"


def test_a_report_can_be_asked_for_instead_of_delivery(queue, monkeypatch, capsys):
    assert run(queue, monkeypatch, ["-f", "me@here", "-bv", "x@y", "z@y"]) == 0
    envelope, content = dropped(queue)
    assert envelope.trace == Trace.REPORT_ONLY
    assert content == b"From: me@here\nSubject: probe\nTo:\tx@y,\n\tz@y\n"
    assert capsys.readouterr().out == "Mail Delivery Status Report will be mailed to <me@here>.\n"


@pytest.mark.parametrize(
    ("words", "text", "wanted"),
    [
        (["x"], b"a: b\n\nt\n.\nmore\n", b"a: b\n\nt\n"),
        (["-i", "x"], b"a: b\n\nt\n.\nmore\n", b"a: b\n\nt\n.\nmore\n"),
        (["-oi", "x"], b"a: b\n\nt\n.\nmore\n", b"a: b\n\nt\n.\nmore\n"),
        (["x"], b"From me Thu\n>From you\na: b\n\nlast", b"a: b\n\nlast\n"),
        (["x"], b"a: b\r\n\r\nt\r\n", b"a: b\n\nt\n"),
    ],
)
def test_content_as_it_is_left(queue, monkeypatch, words, text, wanted):
    assert run(queue, monkeypatch, words, text) == 0
    assert dropped(queue)[1] == wanted


def test_recipients_come_from_the_header(queue, monkeypatch):
    header = b'To: A <a@x>, "q, r" <b@y>, group: c@z, d@w;, (com) e@v (c)\nCc: "J \\"x\\" D" <x@y>\n , cont@z\nBcc: <>\n\nTo: no@x\n'
    assert run(queue, monkeypatch, ["-t"], header) == 0
    addresses = [r.address for r in dropped(queue)[0].recipients]
    assert addresses == ["a@x", "b@y", "c@z", "d@w", "e@v", "x@y", "cont@z"]


def test_resent_recipients_take_the_place_of_the_others(queue, monkeypatch):
    assert run(queue, monkeypatch, ["-t", "extra"], b"To: a@x\nResent-To: b@x\nResent-Bcc: c@x\n\n") == 0
    assert [r.address for r in dropped(queue)[0].recipients] == ["extra", "b@x", "c@x"]


def test_a_message_above_the_limit_is_not_left(queue, monkeypatch, capsys):
    with open(queue / "main.cf", "a") as file:
        file.write("message_size_limit = 1000\n")
    assert run(queue, monkeypatch, ["x"], b"a: b\n\n" + b"x" * 2000) == 75
    assert "message file too big" in capsys.readouterr().err
    assert not list((queue / "maildrop").iterdir())


def test_nobody_else_may_write_to_what_was_left(queue, monkeypatch):
    run(queue, monkeypatch, ["x"], b"a: b\n\n")
    (path,) = (queue / "maildrop").iterdir()
    assert os.stat(path).st_mode & 0o777 == 0o444
    assert len(path.name) == 32


def test_settings_that_later_ones_replace_are_pointed_out(queue, monkeypatch, capsys):
    with open(queue / "main.cf", "a") as file:
        file.write("my_own = 1\nmy_own = 2\n")
    assert run(queue, monkeypatch, ["x"], b"a: b\n\nc\n") == 0
    assert capsys.readouterr().err.count("overriding earlier entry: my_own=1") == 2


def test_verp_delimiters_after_v_are_taken_with_a_warning_and_an_empty_sender_is_nobody(capsys):
    assert read_options(["-V+-", "x"]).verp == "+-"
    assert "specify -XV+- instead" in capsys.readouterr().err
    with pytest.raises(Stop, match="unsupported: -X/"):
        read_options(["-X", "/tmp/x"])
    assert read_options(["-L", "tag", "x"]).recipients == ["x"]


def test_mail_that_is_passed_on_keeps_its_header(queue, monkeypatch):
    assert run(queue, monkeypatch, ["-G", "x@y"], b"Subject: s\n\n") == 0
    assert dropped(queue)[0].rewrite_context == "remote"


def test_there_is_no_host_status_to_show(queue, monkeypatch, capsys):
    assert run(queue, monkeypatch, ["-bh"]) == 0
    assert capsys.readouterr().err == ""
