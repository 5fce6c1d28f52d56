"""check_greylist: strangers are asked to come again (postgrey(8)), without a policy server."""

from __future__ import annotations

from posthouse.mail.status import Status
from posthouse.policy.answer import Answer, Postpone, Unless
from posthouse.policy.catalogue import Stage, restriction
from posthouse.policy.check import Check
from posthouse.policy.greylist.correspondents import greylister_of, is_inside
from posthouse.policy.greylist.in_house import Attempt
from posthouse.policy.verdict import Action, Effect


@restriction(stages=Stage.RCPT, needs_dns=True)
async def check_greylist(check: Check) -> Answer:
    """Defer mail of strangers until they come again (posthouse_greylist_*), if the other restrictions permit it. Inside
    and logged-in clients are left alone; where greylisting is out of order, mail passes.
    """
    request, means = check.request, check.means
    if request.sender is None or check.recipient is None or await is_inside(check):
        return None
    greylister = greylister_of(check.means)
    sender = request.sender

    async def proof() -> str:
        from posthouse.policy.spf.in_house import checker_of, proven_domain

        checker = checker_of(means.house, means.settings)
        return await proven_domain(checker, request.client_address, sender, request.helo_name or "")

    attempt = Attempt(request.client_address, request.client_name, sender, check.recipient)
    if check.trace is None:
        decision = await greylister.judge(attempt, proof)
    else:  # somebody wants to know what would be; no mail has been sent
        decision = await greylister.preview(attempt, proof)
        check.learn("greylist", decision.reason, check.recipient, "pass" if decision.passes else "wait")
    if not decision.passes:
        text = greylister.refusal_text(decision, check.recipient)
        status = Status("4.2.0", 450, f"<{check.recipient}>: Recipient address rejected: {text}")
        return Postpone(Unless.PERMIT, status)
    header = greylister.header(decision)
    if header and is_first_time(check, "greylist header"):
        check.actions.append(Action(Effect.PREPEND, header))
    return None


def is_first_time(check: Check, what: str) -> bool:
    """Whether this message has not had that yet."""
    memory, message = check.request.memory, check.request.instance or check.request.sender
    if memory.get(what) == message:
        return False
    memory[what] = message
    return True
