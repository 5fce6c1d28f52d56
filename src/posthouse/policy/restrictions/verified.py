"""Restrictions that ask whether mail to an address could be delivered, by a probe (ADDRESS_VERIFICATION_README)."""

from __future__ import annotations

from typing import Any

from posthouse.mail.address import fold_address
from posthouse.mail.status import Status
from posthouse.policy.answer import Answer, Postpone, Refuse, Unless
from posthouse.policy.catalogue import Stage, restriction
from posthouse.policy.check import RECIPIENT, SENDER, Check
from posthouse.services.verifying import Reachability, Verified

_ACCEPT = 250  # a "reject" code that means: let it in anyway


@restriction(stages=Stage.WITH_SENDER, needs_service=True)
async def reject_unverified_sender(check: Check) -> Answer:
    """Refuse a sender to whom mail cannot be delivered (unverified_sender_reject_code), and for now one of whom that
    is not known yet (unverified_sender_defer_code).
    """
    sender = check.request.sender
    if not sender:
        return None
    return await _verify(check, sender, SENDER)


@restriction(stages=Stage.WITH_RECIPIENT, needs_service=True)
async def reject_unverified_recipient(check: Check) -> Answer:
    """Refuse a recipient to whom mail cannot be delivered (unverified_recipient_reject_code), and for now one of whom
    that is not known yet (unverified_recipient_defer_code).
    """
    if not check.recipient:
        return None
    return await _verify(check, check.recipient, RECIPIENT)


async def _verify(check: Check, address: str, what: str) -> Answer:
    prefix = "unverified_sender" if what is SENDER else "unverified_recipient"
    verified = await _ask(check, address)
    if check.trace is not None:
        check.learn("service", "verify", address, verified.reachability.name)
    match verified.reachability:
        case Reachability.REACHABLE:
            return None
        case Reachability.UNREACHABLE:
            return _refuse(check, (address, what), prefix, verified)
        case _:
            return _defer(check, (address, what), prefix, verified)


async def _ask(check: Check, address: str) -> Verified:
    verify: Any = check.means.house.verify
    if verify is None:
        check.means.log.warning("reject_unverified_*: address verification is not available in this service")
        return Verified(Reachability.UNKNOWN, "4.3.0", "Address verification is not available")
    resolved = await check.resolve(address)
    answer = await verify(fold_address(resolved.recipient))
    assert isinstance(answer, Verified)
    return answer


def _refuse(check: Check, subject: tuple[str, str], prefix: str, verified: Verified) -> Answer:
    code = check.means.code(f"{prefix}_reject_code")
    if code == _ACCEPT:
        return None
    return Refuse(_status(check, code, subject, prefix, verified))


def _defer(check: Check, subject: tuple[str, str], prefix: str, verified: Verified) -> Answer:
    code = check.means.code(f"{prefix}_defer_code")
    if code == _ACCEPT:
        return None
    status = _status(check, code, subject, prefix, verified)
    if check.means.settings.text(f"{prefix}_tempfail_action") == "defer":
        return Refuse(status)
    return Postpone(Unless.PERMIT, status)


def _status(check: Check, code: int, subject: tuple[str, str], prefix: str, verified: Verified) -> Status:
    """The reply; the probe's own words unless *_reject_reason has others. Not our system, not the sender's business."""
    address, what = subject
    reason = check.means.settings.text(f"{prefix}_reject_reason")
    refused = verified.reachability is Reachability.UNREACHABLE
    head = "undeliverable address: " if refused else "unverified address: "
    dsn = "4.1.7" if what is SENDER else "4.1.1"
    return Status(dsn, code, f"<{address}>: {what} rejected: {head}{reason or verified.text}")
