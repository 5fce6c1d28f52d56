"""Recipients that nobody sees: always_bcc, sender_bcc_maps, recipient_bcc_maps, BCC of access tables (postconf(5))."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from posthouse.cleanup.work import Work
from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import find_address
from posthouse.lookup.maps import Maps
from posthouse.mail.envelope import Notify, Recipient

AddRecipient = Callable[[Work, Recipient], Awaitable[None]]


async def add_sender_bcc(work: Work, add: AddRecipient) -> None:
    """The sender's BCC, before all recipients."""
    maps = work.rules.sender_bcc
    if maps.empty or not work.adds_bcc or not work.sender:
        return
    bcc = await _look_up(work, maps, "sender_bcc_maps", work.sender)
    if bcc:
        await _add(work, bcc, add)


async def add_recipient_bcc(work: Work, add: AddRecipient) -> None:
    """The BCC of the recipient that was added last."""
    maps = work.rules.recipient_bcc
    if maps.empty or not work.adds_bcc or not work.last_recipient:
        return
    bcc = await _look_up(work, maps, "recipient_bcc_maps", work.last_recipient)
    if bcc:
        await _add(work, bcc, add)


async def add_automatic_bcc(work: Work, add: AddRecipient) -> None:
    """always_bcc, and what access tables and content checks asked for."""
    if work.adds_bcc and work.rules.always_bcc:
        await _add(work, work.rules.always_bcc, add)
    for bcc in work.submission.extra_bcc:
        await add(work, Recipient(bcc))  # as if the client had named it
    await add_check_bcc(work, add)


async def add_check_bcc(work: Work, add: AddRecipient) -> None:
    """What content checks have asked for since the last time."""
    wanted, work.check_bcc = work.check_bcc, []
    for bcc in wanted:
        await _add(work, bcc, add)


async def _look_up(work: Work, maps: Maps, name: str, address: str) -> str:
    """What a table says for the address; "" where it says nothing."""
    domain = address.rpartition("@")[2]
    is_local = await work.rules.is_local(domain)
    try:
        found = await find_address(maps, address, delimiters=work.rules.delimiters, is_local=lambda _: is_local)
    except LookupFailed:
        raise work.lookup_problem(name, f" for {address}") from None
    return found.value if found is not None else ""


async def _add(work: Work, bcc: str, add: AddRecipient) -> None:
    """Nobody is told when a BCC fails."""
    original = await work.rewriter.rewrite("local", bcc)
    await add(work, Recipient(bcc, original=original, notify=Notify.NEVER))
