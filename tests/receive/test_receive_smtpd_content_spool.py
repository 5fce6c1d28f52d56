"""A message's content while it arrives: its header can be looked at before the whole is handed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.mail.content import FilePart
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
