"""A message's content while it arrives: its header can be looked at before the whole is handed on."""

from __future__ import annotations

from pathlib import Path

import pytest
from smtpd_scene import Scene

from posthouse.mail.content import FilePart
from posthouse.policy.verdict import PASS
from posthouse.receive.smtpd.content_spool import SPOOL_ABOVE, ContentSpool

HEADER = b"From: a@b.test\nSubject: x\n"


@pytest.mark.parametrize("body", [b"text\n", b"x\n" * SPOOL_ABOVE], ids=["small", "large"])
def test_the_header_can_be_read_before_the_end(tmp_path, body):
    spool = ContentSpool(str(tmp_path), "Q1", 0)
    for part in (HEADER[:20], HEADER[20:] + b"\n", body):
        spool.add(part)
    assert spool.header() == spool.header() == HEADER
    header, rest = spool.close()
    assert header == HEADER
    kept = Path(rest.path).read_bytes() if isinstance(rest, FilePart) else rest
    assert kept == b"\n" + body


def test_the_header_ends_before_the_first_line_that_is_none(tmp_path):
    spool = ContentSpool(str(tmp_path), "Q1", 0)
    spool.add(b"From me\nFrom: a@b.test\nnonsense\nFrom: boss@b.test\n")
    assert spool.header() == b"X-Mailbox-Line: From me\nFrom: a@b.test\n"


@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
async def test_policy_may_look_at_the_header_at_the_end_and_not_before(tmp_path, verb):
    seen = []
    async with Scene(tmp_path) as scene:

        async def end_of_data(request):
            seen.append(request.header())
            return PASS

        scene.gate.end_of_data = end_of_data
        client = await scene.client()
        await client.reply()
        await client.say("EHLO client.test")
        await client.say("MAIL FROM:<a@b.test>")
        await client.say("RCPT TO:<x@example.org>")
        request = next(iter(scene.service._sessions)).request
        assert request.header is None
        content = b"From: a@b.test\r\nSubject: x\r\n\r\ntext\r\n"
        if verb == "DATA":
            await client.say("DATA")
            client.raw(content + b".\r\n")
        else:
            client.raw(b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (20, content[:20], len(content) - 20, content[20:]))
            assert (await client.reply()).startswith("250")
        assert (await client.reply()).startswith("250 2.0.0 Ok: ")
        assert seen == [HEADER]
        assert scene.content().endswith(b"\n\ntext\n")
        assert request.header is None
