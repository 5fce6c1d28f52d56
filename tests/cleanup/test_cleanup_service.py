from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cleanup.cleanup_scene import Scene, addresses
from posthouse.mail.content import Content, FilePart
from posthouse.mail.envelope import Envelope, Notify, Recipient, Trace
from posthouse.mail.message import QueuedMessage
from posthouse.services.intake import Discarded, Refused, Skip, Submission


async def test_mail_from_elsewhere_keeps_its_header(tmp_path):
    scene = Scene(tmp_path)
    message = await scene.take("From: bob\nTo: alice\nMessage-ID: <a@b>\n\ntext\n")
    assert message.content.header == b"From: bob\nTo: alice\nMessage-ID: <a@b>\n"
    assert message.content.body == b"\ntext\n"
    assert scene.log == ["QID: message-id=<a@b>"]


async def test_mail_from_here_gets_what_it_lacks(tmp_path):
    scene = Scene(tmp_path)
    message = await scene.take("Subject: x\nTo: bob\nBcc: secret\n\ntext\n", sender="al", context="local")
    names = [line.split(b":")[0] for line in message.content.header.split(b"\n") if line]
    assert names == [b"Subject", b"To", b"Message-Id", b"Date", b"From"]
    assert b"To: bob@example.com\n" in message.content.header
    assert b"From: al@example.com\n" in message.content.header
    assert message.envelope.sender == "al@example.com"


async def test_resent_mail_gets_resent_fields(tmp_path):
    scene = Scene(tmp_path)
    message = await scene.take("Resent-To: bob@x.test\nDate: today\n\n", context="local")
    assert b"\nResent-Message-Id: <" in message.content.header
    assert b"\nResent-From: friend@sender.test\n" in message.content.header
    assert scene.log[-1] == "QID: message-id=<>"


async def test_aliases_expand_and_an_address_may_contain_itself(tmp_path):
    scene = Scene(tmp_path, """
recipient_delimiter = +
virtual_alias_maps = inline:{ {sales@example.com=self@example.com,b@two.test}, {self@example.com=self@example.com,o@x.test},
  @alias.test=@real.test, ext@example.com=other@example.com }
""")  # fmt: skip
    message = await scene.take("Subject: x\n\n", to=("sales@example.com", "u+e@alias.test", "ext+foo@example.com"))
    assert addresses(message) == [
        "self@example.com",
        "b@two.test",
        "o@x.test",
        "u+e@real.test",
        "other+foo@example.com",
    ]
    assert message.envelope.recipients[0].original == "sales@example.com"


async def test_an_alias_loop_is_refused_for_now(tmp_path):
    scene = Scene(
        tmp_path, "virtual_alias_maps = inline:{ l1@example.com=l2@example.com, l2@example.com=l1@example.com }\n"
    )
    refused = await scene.take("Subject: x\n\n", to=("l1@example.com",))
    assert isinstance(refused, Refused)
    assert (refused.status.code, refused.status.dsn, refused.status.text) == (451, "4.6.0", "Alias expansion error")
    warning = "warning: QID: unreasonable virtual_alias_maps map nesting for l1@example.com"
    assert scene.log[0] == f"{warning} -- message not accepted, try again later"


async def test_duplicates_go_but_not_those_of_another_original(tmp_path):
    scene = Scene(tmp_path, "virtual_alias_maps = inline:{ b@example.com=a@x.test }\n")
    message = await scene.take("Subject: x\n\n", to=("a@x.test", "A@x.test", "b@example.com"))
    assert addresses(message) == ["a@x.test", "a@x.test"]


async def test_blind_copies_are_silent(tmp_path):
    scene = Scene(
        tmp_path,
        """
always_bcc = all@arch.test
sender_bcc_maps = inline:{ friend@sender.test=s@arch.test }
recipient_bcc_maps = inline:{ out@remote.test=r@arch.test }
""",
    )
    message = await scene.take("Subject: x\n\n")
    assert addresses(message) == ["s@arch.test", "out@remote.test", "r@arch.test", "all@arch.test"]
    assert message.envelope.recipients[-1].notify is Notify.NEVER
    message = await scene.take("Subject: x\n\n", skip=Skip.ADDRESS_MAPPINGS)
    assert addresses(message) == ["out@remote.test"]
    message = await scene.take("Subject: x\n\n", skip=Skip.AUTOMATIC_BCC)
    assert addresses(message) == ["out@remote.test"]


async def test_canonical_and_masquerade_change_envelope_and_header(tmp_path):
    scene = Scene(
        tmp_path,
        """
canonical_maps = inline:{ sh@example.com=sharon.smith@example.com }
sender_canonical_maps = inline:{ secret@example.com=public@example.com }
masquerade_domains = !deep.example.com example.com
masquerade_exceptions = root
""",
    )
    text = "From: secret@example.com\nTo: sh (me), u@host.example.com, root@host.example.com, v@h.deep.example.com\n\n"
    message = await scene.take(
        text, sender="secret@example.com", to=("sh@example.com", "u@host.example.com"), context="local"
    )
    assert message.envelope.sender == "public@example.com"
    assert addresses(message) == ["sharon.smith@example.com", "u@host.example.com"]
    assert message.content.header.startswith(
        b"From: public@example.com\nTo: sharon.smith@example.com (me), u@example.com,\n\troot@host"
    )
    assert b"v@h.deep.example.com" in message.content.header


async def test_too_many_hops_end_the_journey(tmp_path):
    scene = Scene(tmp_path, "hopcount_limit = 3\n")
    refused = await scene.take("Received: a\n" * 3 + "Subject: x\n\n")
    assert isinstance(refused, Refused)
    assert refused.status.dsn == "5.4.0"


CHECKS = """
header_checks = regexp:{0}/header
body_checks = regexp:{0}/body
"""


@pytest.mark.parametrize(
    ("rule", "outcome", "logged"),
    [
        ("REJECT no", "550 5.7.1 no", "reject: header Subject: match from X: 5.7.1 no"),
        ("REJECT 4.7.9 later", "451 4.7.9 later", "reject: header Subject: match from X: 4.7.9 later"),
        ("DISCARD", "discarded", "discard: header Subject: match from X"),
        ("HOLD look", "held", "hold: header Subject: match from X: look"),
        ("IGNORE", "To: a\nX: 1\n", None),
        ("REPLACE X-S: y", "To: a\nX-S: y\nX: 1\n", "replace: header Subject: match from X: X-S: y"),
        ("PREPEND X-P: y", "To: a\nX-P: y\nSubject: match\nX: 1\n", "prepend: header Subject: match from X: X-P: y"),
        ("WARN hm", "To: a\nSubject: match\nX: 1\n", "warning: header Subject: match from X: hm"),
        ("STRIP hm", "To: a\nX: 1\n", "strip: header Subject: match from X: hm"),
        ("FOO", "To: a\nSubject: match\nX: 1\n", "warning: unknown command in header_checks map: FOO"),
    ],
)
async def test_header_checks_act(tmp_path, rule, outcome, logged):
    (tmp_path / "header").write_text(f"/^Subject: match/ {rule}\n")
    (tmp_path / "body").write_text("")
    scene = Scene(tmp_path, CHECKS.format(tmp_path))
    result = await scene.take("To: a\nSubject: match\nX: 1\n\ntext\n")
    if isinstance(result, Refused):
        shown = f"{result.status.code} {result.status.dsn} {result.status.text}"
    elif isinstance(result, Discarded):
        shown = "discarded"
    else:
        shown = "held" if result.hold else result.content.header.decode()
    assert shown == outcome
    client = "unknown[198.51.100.7]; from=<friend@sender.test> to=<out@remote.test> proto=ESMTP helo=<client.test>"
    if logged:
        expected = logged.replace("from X", f"from {client}")
        assert any(line.endswith(expected) for line in scene.log)


MIME = """Subject: x
Content-Type: multipart/mixed; boundary=b

pre remove
--b
X-Inner: match

keep
remove
change this
--b--
"""


async def test_body_checks_see_lines_and_inner_headers(tmp_path):
    (tmp_path / "header").write_text("/^X-Inner/ IGNORE\n")
    (tmp_path / "body").write_text("/remove/ IGNORE\n/change (.*)/ REPLACE changed $1\n")
    scene = Scene(tmp_path, CHECKS.format(tmp_path))
    message = await scene.take(MIME)
    assert message.content.body == b"\n--b\n\nkeep\nchanged this\n--b--\n"


def _read(path):
    return Path(path).read_bytes()


async def test_mail_that_breaks_rules_of_mime_is_refused(tmp_path):
    nested = "\n\n".join(f"--b{n}\nContent-Type: multipart/mixed; boundary=b{n + 1}" for n in range(1000))
    scene = Scene(tmp_path, "strict_8bitmime = yes\nstrict_mime_encoding_domain = yes\n")
    refused = await scene.take(f"Content-Type: multipart/mixed; boundary=b0\n\n{nested}\n\n")
    assert (refused.status.code, refused.status.dsn) == (550, "5.6.0")
    assert refused.status.text == "MIME nesting exceeds safety limit"
    assert scene.log[-1] == (
        "QID: reject: mime-error MIME nesting exceeds safety limit: Content-Type: multipart/mixed; boundary=b102"
        " from unknown[198.51.100.7]; from=<friend@sender.test> to=<out@remote.test>"
    )
    refused = await scene.take("Subject: \u00fc\n\n")
    assert refused.status.text == "improper use of 8-bit data in message header"


async def test_fields_of_mime_are_checked_apart_wherever_they_stand(tmp_path):
    scene = Scene(
        tmp_path,
        "header_checks = regexp:{ {/^Content-Type:/ REJECT} }\nmime_header_checks = regexp:{ {/exe/ REJECT no programs} }\n",
    )
    message = await scene.take("Content-Type: text/plain\n\nx\n")
    assert message.content.header == b"Content-Type: text/plain\n"
    refused = await scene.take('Content-Type: application/octet-stream; name="x.exe"\n\nx\n')
    assert refused.status.text == "no programs"


async def test_a_long_inner_field_is_checked_as_far_as_its_limit_goes_and_stays_whole(tmp_path):
    checks = "header_size_limit = 100\nmime_header_checks = regexp:{ {/end$$/ REJECT} {/^X-Rep/ REPLACE X-New: y} }\n"
    scene = Scene(tmp_path, checks)
    long = "X-Long: " + "1234567890" * 20 + "end"
    head = "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
    message = await scene.take(f"{head}{long}\nX-Rep: {long}\n\nx\n")
    assert message.content.body == f"\n--b\n{long}\nX-New: y\n\nx\n".encode()


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"X-{number}: y\n" for number in range(10_000)) + "\nx\n",
        "Content-Type: multipart/mixed; boundary=b\n\n" + "--b\nX-Part: 1\n\ntext\n" * 10_000,
        "Subject: x\n\n" + "a line\n" * 20_000,
    ],
)
async def test_other_mail_gets_its_turn_while_a_monster_is_checked(tmp_path, text):
    scene = Scene(tmp_path, "header_checks = regexp:{ {/^Nothing/ REJECT} }\nbody_checks = $header_checks\n")
    turns = []

    async def other_mail():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    other = asyncio.create_task(other_mail())
    message = await scene.take(text)
    other.cancel()
    assert message.content.size >= len(text)
    assert len(turns) > 40


@pytest.mark.parametrize(
    "text",
    [
        "X-Evil: " + "a" * 5000 + "!\n\nx\n",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nX-Evil: " + "a" * 5000 + "!\n\nx\n",
        "Subject: x\n\n" + "a" * 2000 + "!\n",
    ],
)
async def test_an_expression_that_runs_away_makes_mail_wait_and_does_not_let_it_pass(tmp_path, text):
    checks = "header_checks = pcre:{ {/^X-Evil: (a+)+$$/ REJECT} }\nbody_checks = pcre:{ {/^(a+)+$$/ REJECT} }\n"
    refused = await Scene(tmp_path, checks).take(text)
    assert (refused.status.code, refused.status.dsn) == (451, "4.3.0")


@pytest.mark.parametrize(
    "text",
    [
        "X-Long: " + "a b " * 262_144 + "\n\nx\n",
        "X-Long: " + "a\n b " * 200_000 + "\n\nx\n",
        "Content-Type: multipart/" + "(" * 50_000 + "mixed; boundary=b\n\n--b\n\nx\n",
        'Content-Type: multipart/mixed; boundary="' + "\\" * 99_999 + "\n\n--b\n\nx\n",
        "Content-Type: multipart/mixed; boundary=\udcff\nContent-Transfer-Encoding: bogus\n\n--\udcff\n\x00: x\n\n\udcff\n",
    ],
)
async def test_what_is_broken_or_huge_is_checked_in_a_moment(tmp_path, text):
    scene = Scene(tmp_path, "header_checks = regexp:{ {/^Nothing/ REJECT} }\nbody_checks = $header_checks\n")
    begun = time.monotonic()
    message = await scene.take(text.encode("utf-8", "surrogateescape").decode("latin-1"))
    assert isinstance(message, QueuedMessage)
    assert time.monotonic() - begun < 5


async def test_a_code_that_refuses_nothing_is_put_right(tmp_path):
    scene = Scene(tmp_path, "header_checks = regexp:{ {/^Subject:/ REJECT 2.1.1 hm} }\n")
    refused = await scene.take("Subject: x\n\nx\n")
    assert (refused.status.code, refused.status.dsn) == (451, "4.1.1")


async def test_redirected_mail_goes_past_filters(tmp_path):
    scene = Scene(tmp_path, "header_checks = regexp:{ {/^Subject:/ REDIRECT a@b.test} {/^X-F/ FILTER smtp:x} }\n")
    message = await scene.take("X-F: 1\nSubject: x\n\nx\n", to=("z@x.test", "b@x.test"))
    assert message.envelope.content_filter == ""
    assert [(r.address, r.original) for r in message.envelope.recipients] == [("a@b.test", "b@x.test")]


async def test_a_body_in_a_file_is_checked_without_being_loaded(tmp_path):
    (tmp_path / "header").write_text("")
    (tmp_path / "body").write_text("/remove/ IGNORE\n")
    scene = Scene(tmp_path, CHECKS.format(tmp_path))
    spool = tmp_path / "spool"
    spool.write_bytes(b"\none\nremove\ntwo\n")
    envelope = Envelope("a@b.test", (Recipient("c@d.test"),), rewrite_context="")
    submission = Submission(envelope, Content(b"Subject: x\n", FilePart(str(spool), 0, 16)), 0.0, "QID")
    message = await scene.cleanup.make_fit(submission)
    assert isinstance(message.content.body, FilePart)
    assert _read(message.content.body.path) == b"\none\ntwo\n"
    spool.write_bytes(b"\none\n")
    same = await scene.cleanup.make_fit(
        replace(submission, content=Content(b"Subject: x\n", FilePart(str(spool), 0, 5)))
    )
    assert same.content.body == FilePart(str(spool), 0, 5)


async def test_redirect_replaces_all_recipients(tmp_path):
    scene = Scene(tmp_path)
    message = await scene.take("Subject: x\n\n", to=("a@x.test", "b@x.test"), redirect="caught@example.org")
    assert addresses(message) == ["caught@example.org"]
    assert message.envelope.recipients[0].original == "a@x.test"


async def test_redirected_mail_sees_no_filter_and_names_the_first_recipient_in_the_order_of_domains(tmp_path):
    scene = Scene(tmp_path, "header_checks = static:{FILTER smtp:[192.0.2.9]}\n")
    message = await scene.take("Subject: x\n\n", to=("z@b.test", "b@a.test", "A@a.test"), redirect="c@example.org")
    assert (message.envelope.content_filter, message.envelope.recipients[0].original) == ("", "A@a.test")


async def test_a_probe_of_an_alias_with_several_members_is_answered_at_once(tmp_path):
    scene = Scene(tmp_path, "virtual_alias_maps = inline:{ {two@example.com=a@x.test,b@x.test} }\n")
    taken = await scene.take("Subject: x\n\n", to=("two@example.com",), trace=Trace.PROBE)
    assert isinstance(taken, Discarded)
    assert "to=<two@example.com>, relay=none," in scene.log[0]
    assert scene.log[0].endswith("dsn=2.0.0, status=deliverable (aliased to multiple recipients)")


async def test_what_is_no_field_begins_the_body_however_large_the_mail_is(tmp_path):
    scene = Scene(tmp_path)
    spool = tmp_path / "spool"
    spool.write_bytes(b"\nrest\n")
    envelope = Envelope("a@b.test", (Recipient("c@d.test"),), rewrite_context="")
    for body in (b"\nrest\n", FilePart(str(spool), 0, 6)):
        content = Content(b"Subject: x\nno field\n", body)
        message = await scene.cleanup.make_fit(Submission(envelope, content, 0.0, "QID"))
        found = message.content.body
        assert message.content.header == b"Subject: x\n"
        assert (found if isinstance(found, bytes) else _read(found.path)) == b"\nno field\n\nrest\n"


@pytest.mark.parametrize(("written", "printed"), [
    ("x@a.test, bob", "x@a.test, bob@example.com"),
    ("bob, x@a.test", "bob@example.com, x@a.test"),
    ("X Y <x@a.test>,\n\ty@b.test, bob", "X Y <x@a.test>, y@b.test, bob@example.com"),
])  # fmt: skip
async def test_each_address_of_a_list_is_completed_wherever_it_stands(tmp_path, written, printed):
    message = await Scene(tmp_path).take(f"To: {written}\n\n", context="local")
    assert f"To: {printed}\n".encode() in message.content.header


async def test_mail_to_nobody_goes_to_the_null_address_recipient(tmp_path):
    message = await Scene(tmp_path).take("Subject: x\n\n", to=("",))
    assert addresses(message) == ["MAILER-DAEMON@example.com"]


async def test_a_check_names_the_last_recipient_in_the_log(tmp_path):
    scene = Scene(tmp_path, "header_checks = static:WARN\n")
    await scene.take("Subject: x\n\n", to=("a@x.test", "b@x.test"))
    assert " to=<b@x.test> " in scene.log[0]


async def test_what_is_refused_comes_with_what_cleanup_had_made_of_it(tmp_path):
    scene = Scene(tmp_path, "header_checks = static:REJECT\n")
    refused = await scene.take("Subject: x\n\n", sender="al", context="local")
    assert (refused.status.dsn, refused.sender) == ("5.7.1", "al@example.com")
    assert b"\nFrom: al@example.com\n" in refused.header
