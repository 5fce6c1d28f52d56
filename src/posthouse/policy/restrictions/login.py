"""Restrictions that hold a sender address against the login that may use it (smtpd_sender_login_maps)."""

from __future__ import annotations

from posthouse.mail.status import Status
from posthouse.policy.answer import Answer, Refuse
from posthouse.policy.catalogue import Stage, restriction
from posthouse.policy.check import SENDER, Check
from posthouse.policy.sender_logins import is_login_offered, owners_of


def _refuse(check: Check, text: str) -> Refuse:
    return Refuse(Status("5.7.1", 553, f"<{check.request.sender}>: {SENDER} rejected: {text}"))


@restriction("reject_unauth_sender_login_mismatch", stages=Stage.WITH_SENDER)
async def reject_unauthenticated_sender_login_mismatch(check: Check) -> Answer:
    """Refuse a sender that belongs to a login, from a client that has not logged in."""
    if not is_login_offered(check, "reject_unauthenticated_sender_login_mismatch"):
        return None
    return await _refuse_without_login(check)


async def _refuse_without_login(check: Check) -> Answer:
    if check.request.sasl_username or await owners_of(check, check.request.sender or "") is None:
        return None
    return _refuse(check, "not logged in")


@restriction("reject_auth_sender_login_mismatch", stages=Stage.WITH_SENDER)
async def reject_authenticated_sender_login_mismatch(check: Check) -> Answer:
    """Refuse a sender that does not belong to the client's login."""
    if not is_login_offered(check, "reject_authenticated_sender_login_mismatch"):
        return None
    return await _refuse_wrong_owner(check, only_known=False)


async def _refuse_wrong_owner(check: Check, *, only_known: bool) -> Answer:
    login = check.request.sasl_username
    if not login or not check.request.sender:
        return None
    owners = await owners_of(check, check.request.sender or "")
    if (owners is None and only_known) or (owners is not None and login.lower() in owners):
        return None
    return _refuse(check, f"not owned by user {login}")


@restriction(stages=Stage.WITH_SENDER)
async def reject_known_sender_login_mismatch(check: Check) -> Answer:
    """As reject_sender_login_mismatch, for senders in smtpd_sender_login_maps only."""
    if not is_login_offered(check, "reject_known_sender_login_mismatch"):
        return None
    if not check.request.sasl_username:
        return await _refuse_without_login(check)
    return await _refuse_wrong_owner(check, only_known=True)


@restriction(stages=Stage.WITH_SENDER)
async def reject_sender_login_mismatch(check: Check) -> Answer:
    """Refuse a sender that belongs to another login than the client's, or to one while the client has none."""
    asked = [
        is_login_offered(check, f"reject_{who}authenticated_sender_login_mismatch") for who in ("", "un")
    ]  # fmt: skip
    if not all(asked):
        return None
    if check.request.sasl_username:
        return await _refuse_wrong_owner(check, only_known=False)
    return await _refuse_without_login(check)
