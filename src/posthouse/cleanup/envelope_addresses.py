"""Sender and recipients of the envelope: completed, mapped, masqueraded, expanded, without duplicates (cleanup(8))."""

from __future__ import annotations

import time
from dataclasses import replace

from posthouse.cleanup.bcc import add_recipient_bcc, add_sender_bcc
from posthouse.cleanup.canonical import map_to_canonical
from posthouse.cleanup.masquerade import masquerade
from posthouse.cleanup.virtual_alias import expand_aliases
from posthouse.cleanup.work import Work
from posthouse.mail.envelope import Notify, Recipient, Trace
from posthouse.mail.outcome import Sent
from posthouse.mail.status import Status
from posthouse.maillog import delivery


async def rewrite_sender(work: Work) -> None:
    """The envelope sender."""
    address = work.sender
    if not address:
        return
    address = await work.rewriter.rewrite("local", address)
    if work.maps_addresses:
        address = await map_to_canonical(work, address, "envelope_sender")
        address = masquerade(work, address, "envelope_sender")
    work.sender = address


async def take_recipients(work: Work) -> None:
    """The envelope recipients, in order, each followed by what its alias expands to and by its BCC."""
    await add_sender_bcc(work, add_recipient)
    for recipient in work.submission.envelope.recipients:
        await add_recipient(work, recipient)
        await add_recipient_bcc(work, add_recipient)


async def add_recipient(work: Work, recipient: Recipient) -> None:
    """One recipient: rewritten, and then expanded."""
    original = recipient.original or recipient.address
    address = await work.rewriter.rewrite("local", recipient.address or work.rules.null_recipient)
    if work.maps_addresses:
        address = await map_to_canonical(work, address, "envelope_recipient")
        address = masquerade(work, address, "envelope_recipient")
    if not recipient.orcpt:
        recipient = replace(recipient, orcpt=f"rfc822;{address}")
    work.last_recipient = address
    members = await expand_aliases(work, address)
    if len(members) > 1 and work.submission.envelope.trace & Trace.PROBE:
        work.log.info(_many_members(work, replace(recipient, address=address)))
        work.discard = True
        return
    notify = recipient.notify
    if notify and notify & Notify.SUCCESS and (len(members) > 1 or members[0].lower() != address.lower()):
        work.expanded.append(replace(recipient, address=address))
        notify = Notify.NEVER if notify == Notify.SUCCESS else notify & ~Notify.SUCCESS
    for member in members:
        _store(work, Recipient(member, original, recipient.orcpt, notify))


def _many_members(work: Work, recipient: Recipient) -> str:
    """An alias of several is good enough for a probe: it would be no single one's answer."""
    outcome = Sent(Status("2.0.0", 250, "aliased to multiple recipients"), "none", deliverable=True)
    now = time.time()
    times = delivery.Times(work.submission.arrival, now, now, 0.0, now)
    return delivery.status(work.queue_id, recipient, outcome, times, "deliverable")


def _store(work: Work, recipient: Recipient) -> None:
    """Unless the same recipient is there already: same address, same original, same wishes for notices."""
    original = recipient.original
    mark = (recipient.address.lower(), int(recipient.notify), original.lower(), recipient.orcpt.lower())
    if not work.rules.keeps_original:
        mark = (recipient.address.lower(), 0, "", "")
    if mark in work.seen:
        return
    if not work.rules.duplicate_limit or len(work.seen) < work.rules.duplicate_limit:
        work.seen.add(mark)
    if original == recipient.address:
        original = ""
    work.recipients.append(Recipient(recipient.address, original, recipient.orcpt, recipient.notify))
