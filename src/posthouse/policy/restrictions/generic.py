"""Restrictions that say the same to everybody, whatever stage they stand in (postconf(5))."""

from __future__ import annotations

import asyncio

from posthouse.mail.status import Status
from posthouse.policy.answer import PERMIT, Answer, Postpone, Refuse, Unless
from posthouse.policy.catalogue import Permits, Stage, Takes, restriction
from posthouse.policy.check import Check


@restriction(permits=Permits.ALWAYS)
def permit(check: Check) -> Answer:  # noqa: ARG001
    """Let it in; what stands after this word in the list is not asked."""
    return PERMIT


@restriction(refuses_strangers=True)
def reject(check: Check) -> Answer:
    """Refuse (reject_code)."""
    return Refuse(check.rejected("5.7.1", check.means.code("reject_code"), "Access denied"))


@restriction(refuses_strangers=True)
def defer(check: Check) -> Answer:
    """Refuse for now (defer_code)."""
    return Refuse(check.rejected("4.3.2", check.means.code("defer_code"), "Try again later"))


@restriction(refuses_strangers=True)
def defer_if_permit(check: Check) -> Answer:
    """Refuse for now if the other restrictions let it in."""
    return Postpone(Unless.PERMIT, check.rejected("4.7.0", 450, "defer_if_permit requested"))


@restriction()
def defer_if_reject(check: Check) -> Answer:
    """Refuse for now where a later restriction refuses for good."""
    return Postpone(Unless.REJECT, check.rejected("4.7.0", 450, "defer_if_reject requested"))


@restriction(takes=Takes.NUMBER)
async def sleep(check: Check, seconds: int) -> Answer:  # noqa: ARG001
    """Let the client wait for that many seconds, then go on with the next restriction."""
    await asyncio.sleep(seconds)
    return None


@restriction()
def reject_plaintext_session(check: Check) -> Answer:
    """Refuse what does not come over TLS (plaintext_reject_code)."""
    if check.request.encryption_protocol:
        return None
    code = check.means.code("plaintext_reject_code")
    return Refuse(Status("5.7.1", code, "Session encryption is required"))


@restriction()
def reject_unauth_pipelining(check: Check) -> Answer:
    """Refuse a client that sends commands ahead of their time: without PIPELINING, or where RFC 2920 forbids it."""
    if not check.request.pipelined_unexpectedly:
        return None
    return Refuse(check.rejected("5.5.0", 503, "Improper use of SMTP command pipelining"))


@restriction(stages=Stage.DATA | Stage.END_OF_DATA)
def reject_multi_recipient_bounce(check: Check) -> Answer:
    """Refuse mail from the null sender to several recipients (multi_recipient_bounce_reject_code)."""
    request = check.request
    if request.sender != "":
        return None
    at_rcpt = request.protocol_state not in ("DATA", "END-OF-MESSAGE")
    if request.recipient_count + at_rcpt <= 1:
        return None
    code = check.means.code("multi_recipient_bounce_reject_code")
    return Refuse(check.rejected("5.5.3", code, "Multi-recipient bounce"))
