"""Mail changed on its way out: smtp_header_checks and kin, smtp_generic_maps, smtp_reply_filter, status filters."""

from __future__ import annotations

import pytest

from posthouse.config.settings import from_text
from posthouse.deliver.smtp.content import WireContent
from posthouse.deliver.smtp.generic import GenericMaps
from posthouse.deliver.smtp.outgoing_checks import OutgoingChecks
from posthouse.deliver.smtp.peer import Peer
from posthouse.deliver.smtp.reply_filter import ReplyFilter
from posthouse.deliver.status_filter import with_filter
from posthouse.mail.content import Content, FilePart
from posthouse.mail.outcome import Bounced, Deferred, Sent
from posthouse.mail.status import Status
from posthouse.protocols.smtp_client import Features, ServerReply
from posthouse.services.delivery import Report, Result
from posthouse.services.house import House
from posthouse.system.log import DaemonLog, MemorySink

HEADER = b"X-Secret: 1\nX-Swap: me\nX-Pre: 2\nSubject: hello\n"


@pytest.fixture
def sink():
    return MemorySink()


@pytest.fixture
def log(sink):
    return DaemonLog("postfix/smtp", sink)


def table(tmp_path, name, *rules):
    path = tmp_path / name
    path.write_text("\n".join(rules) + "\n")
    return f"regexp:{path}"


def header_rules(tmp_path):
    return table(
        tmp_path,
        "header",
        "/^X-Secret:/ IGNORE",
        "/^X-Swap: (.*)/ REPLACE X-Swapped: $1",
        "/^X-Pre/ PREPEND X-Before: 1",
    )


def sent(content, checks):
    wire = WireContent(content, size=content.size, eight_bit=False, convert=False, line_limit=998)
    wire.checks = (checks, "QID")
    return b"".join(wire.chunks(Features()))


def test_header_fields_are_dropped_replaced_and_prepended_as_they_leave(tmp_path, log, sink):
    checks = OutgoingChecks(from_text(f"smtp_header_checks = {header_rules(tmp_path)}\n"), "smtp", log)
    assert sent(Content(HEADER, b"\ntext\n"), checks) == (
        b"X-Swapped: me\r\nX-Before: 1\r\nX-Pre: 2\r\nSubject: hello\r\n\r\ntext\r\n.\r\n"
    )
    assert sink.lines == [
        "postfix/smtp: QID: replace: header X-Swap: me: X-Swapped: me",
        "postfix/smtp: QID: prepend: header X-Pre: 2: X-Before: 1",
    ]


@pytest.mark.parametrize("in_file", [False, True])
def test_body_lines_and_part_headers_have_their_own_tables(tmp_path, log, in_file):
    body = b"\n--q\nContent-Disposition: attachment;\n name=x\n\ndrop me\nkeep\n--q--\n"
    settings = from_text(
        f"smtp_body_checks = {table(tmp_path, 'body', '/^drop/ IGNORE')}\n"
        f"smtp_mime_header_checks = {table(tmp_path, 'mime', '/^Content-Disposition/ REPLACE Content-Disposition: inline')}\n"
    )
    if in_file:
        (tmp_path / "spool").write_bytes(b"skipped" + body)
        part = FilePart(str(tmp_path / "spool"), 7, len(body))
    content = Content(b'Content-Type: multipart/mixed; boundary="q"\n', part if in_file else body)
    assert sent(content, OutgoingChecks(settings, "smtp", log)).partition(b"\r\n")[2] == (
        b"\r\n--q\r\nContent-Disposition: inline\r\n\r\nkeep\r\n--q--\r\n.\r\n"
    )


def test_what_would_decide_about_the_message_is_only_warned_of(tmp_path, log, sink):
    checks = OutgoingChecks(
        from_text(f"smtp_header_checks = {table(tmp_path, 'h', '/^Sub/ REJECT no')}\n"), "smtp", log
    )
    assert checks.header("QID", b"Subject: x\n") == b"Subject: x\n"
    assert sink.lines[0] == "postfix/smtp: warning: unsupported command in smtp_header_checks map: REJECT no"


async def test_generic_maps_change_envelope_and_header_but_no_inner_message(tmp_path, log, sink):
    settings = from_text(
        "myorigin = inside.test\nmydestination =\nrecipient_delimiter = +\n"
        "smtp_generic_maps = inline:{ ann@inside.test=Ann.S@out.test, @inside.test=@out.test }\n"
    )
    maps = GenericMaps(settings, "smtp", House(settings, (), sink), log)
    assert await maps.address("ann@inside.test") == "Ann.S@out.test"
    assert await maps.address("bob@inside.test") == "bob@out.test"
    assert await maps.address("far@away.test") == "far@away.test"
    assert await maps.address("") == ""
    content = await maps.content(
        Content(b"From: Ann <ann@inside.test>\nX-To: ann@inside.test\n", b"\nTo: ann@inside.test\n")
    )
    assert content.header == b"From: Ann <Ann.S@out.test>\nX-To: ann@inside.test\n"
    assert content.body == b"\nTo: ann@inside.test\n"


def test_replies_are_rewritten_line_by_line(tmp_path, log):
    spec = table(tmp_path, "replies", "/^451 4.7.1 (.*)/ 550 5.7.1 $1", "/^250 odd/ nonsense")
    replies = ReplyFilter(from_text(f"smtp_reply_filter = {spec}\n"), "smtp", log)
    peer = Peer("mx.test", "192.0.2.1", 25)
    changed = replies.apply(peer, ServerReply(451, ("451 4.7.1 greylisted",)))
    assert (changed.code, changed.dsn, changed.said) == (550, "5.7.1", "550 5.7.1 greylisted")
    assert replies.apply(peer, ServerReply(250, ("250 odd",))).code == 250


class Agent:
    """Reports what it is told."""

    def __init__(self, *outcomes):
        self.outcomes = outcomes

    async def deliver(self, request):
        return Report(tuple(Result(number, outcome) for number, outcome in enumerate(self.outcomes)))

    async def close(self):
        pass


async def test_a_status_filter_turns_bounces_into_delays_but_never_success_into_failure(tmp_path, log):
    spec = table(tmp_path, "dsn", r"/^5\.1\.1 (.*)/ 4.1.1 later $1", r"/^4\.2\.2 (.*)/ 5.2.2 $1", r"/^2\./ 5.0.0 no")
    settings = from_text(f"default_delivery_status_filter = {spec}\n")
    outcomes = (
        Bounced(Status("5.1.1", 550, "unknown")), Deferred(Status("4.2.2", 450, "full")), Sent(Status("2.0.0", 250, "ok"))
    )  # fmt: skip
    report = await with_filter(Agent(*outcomes), settings, "smtp", log).deliver(None)
    assert [type(result.outcome) for result in report.results] == [Deferred, Bounced, Sent]
    assert report.results[0].outcome.status.text == "later unknown"


def test_without_a_filter_the_agent_is_used_as_it_is(log):
    agent = Agent()
    assert with_filter(agent, from_text(""), "discard", log) is agent
