"""Restrictions that ask whether the client may send for the sender's domain (RFC 7208), without a policy server."""

from __future__ import annotations

from posthouse.mail.status import Status
from posthouse.policy.answer import Answer, Refuse
from posthouse.policy.catalogue import Stage, restriction
from posthouse.policy.check import SENDER, Check
from posthouse.policy.greylist.correspondents import is_inside
from posthouse.policy.restrictions.greylist import is_first_time
from posthouse.policy.spf.header import Mail
from posthouse.policy.spf.in_house import ask, checker_of, header_of
from posthouse.policy.spf.result import SpfResult
from posthouse.policy.verdict import Action, Effect


@restriction(stages=Stage.MAIL | Stage.RCPT | Stage.DATA, needs_dns=True)
async def reject_spf_fail(check: Check) -> Answer:
    """Refuse mail whose sender's domain says that the client may not send for it (SPF "fail"). Inside and logged-in
    clients are left alone. All of these restrictions add a header field with the result (posthouse_spf_header).
    """
    return await _judge(check, ("fail",))


@restriction(stages=Stage.MAIL | Stage.RCPT | Stage.DATA, needs_dns=True)
async def reject_spf_softfail(check: Check) -> Answer:
    """As reject_spf_fail, and also where the domain says that the client probably may not (SPF "softfail")."""
    return await _judge(check, ("fail", "softfail"))


@restriction(stages=Stage.MAIL | Stage.RCPT | Stage.DATA, needs_dns=True)
async def reject_spf_permerror(check: Check) -> Answer:
    """Refuse mail whose sender's domain has an SPF record that cannot be understood."""
    return await _judge(check, ("permerror",))


@restriction(stages=Stage.MAIL | Stage.RCPT | Stage.DATA, needs_dns=True)
async def defer_spf_temperror(check: Check) -> Answer:
    """Defer mail while the SPF record of its sender's domain cannot be had."""
    return await _judge(check, ("temperror",))


@restriction(stages=Stage.MAIL | Stage.RCPT | Stage.DATA, needs_dns=True)
async def add_spf_header(check: Check) -> Answer:
    """Only add the header field with SPF's result."""
    return await _judge(check, ())


async def _judge(check: Check, refused: tuple[str, ...]) -> Answer:
    request, settings = check.request, check.means.settings
    if request.sender is None or await is_inside(check):
        return None
    checker = checker_of(check.means.house, settings)
    helo = request.helo_name or ""
    found = await ask(checker, request.client_address, request.sender, helo)
    if found is None:
        return None
    if check.trace is not None:
        check.learn("spf", found.mechanism or "no mechanism", found.domain, found.result)
    if found.result in refused:
        return Refuse(_status(check, found))
    receiver = (check.recipient or "").rpartition("@")[2] or settings.text("myhostname")
    header = header_of(settings, found, Mail(request.client_address, helo, request.sender, receiver))
    if header and is_first_time(check, "spf header"):
        check.actions.append(Action(Effect.PREPEND, header))
    return None


def _status(check: Check, found: SpfResult) -> Status:
    """RFC 7372, 3.2."""
    text = check.means.settings.text("posthouse_spf_reject_text").replace("{explanation}", found.text)
    code, dsn = (451, "4.7.24") if found.result == "temperror" else (550, "5.7.23")
    if found.result == "permerror":
        dsn = "5.7.24"
    return Status(dsn, code, f"<{check.request.sender}>: {SENDER} rejected: {text}")
