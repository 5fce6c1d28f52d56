"""The steps of cleanup(8), in order."""

from __future__ import annotations

from posthouse.cleanup.bcc import add_automatic_bcc
from posthouse.cleanup.body import clean_body
from posthouse.cleanup.characters import clean_characters
from posthouse.cleanup.envelope_addresses import add_recipient, rewrite_sender, take_recipients
from posthouse.cleanup.header import clean_header
from posthouse.cleanup.limits import check_recipients, check_size
from posthouse.cleanup.milter_edits import apply_milters
from posthouse.cleanup.milter_session import tell_envelope
from posthouse.cleanup.missing_headers import add_missing_headers
from posthouse.cleanup.work import Work
from posthouse.errors import PermanentFailure, TemporaryFailure


async def run(work: Work) -> None:
    """Make the message fit. Stops early when a rule discards it; raises TemporaryFailure or PermanentFailure."""
    check_size(work)
    await _take_envelope(work)
    if work.refusal is None:
        await tell_envelope(work)
    if work.discard:
        return
    if work.refusal is None:
        clean_characters(work)
    await clean_header(work)
    if work.discard:
        return
    add_missing_headers(work)
    if work.refusal is not None:
        raise work.refusal
    await clean_body(work)
    if work.discard:
        return
    check_recipients(work)
    await add_automatic_bcc(work, add_recipient)
    await apply_milters(work)


async def _take_envelope(work: Work) -> None:
    """A refusal waits until the header has been read, for the log's message-id."""
    try:
        await rewrite_sender(work)
        await take_recipients(work)
    except (TemporaryFailure, PermanentFailure) as failed:
        work.refusal, work.unchecked = failed, True
