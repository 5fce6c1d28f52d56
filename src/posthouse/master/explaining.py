"""What would be decided about a mail, and where it would go, with the configuration as it is; nothing has to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.mail.status import Status
from posthouse.policy.gate import Gate
from posthouse.policy.request import Request
from posthouse.policy.trace import Entry, Fact, Trace
from posthouse.policy.verdict import Action, Verdict
from posthouse.rewrite.trivial_rewrite import TrivialRewrite
from posthouse.services.house import House
from posthouse.system.log import LogSink


@dataclass(frozen=True, slots=True)
class StageAnswer:
    """One command: what was asked in which list, what was found out outside of them, and the answer."""

    command: str
    trace: tuple[Entry, ...]
    facts: tuple[Fact, ...]
    refusal: Status | None
    actions: tuple[Action, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class Decision:
    """All commands up to the one that is refused."""

    stages: list[StageAnswer] = field(default_factory=list)

    @property
    def refusal(self) -> Status | None:
        """Why the mail does not come in; None where it does."""
        return next((stage.refusal for stage in self.stages if stage.refusal is not None), None)

    @property
    def actions(self) -> tuple[Action, ...]:
        """What access tables do to the mail."""
        return tuple(action for stage in self.stages for action in stage.actions)


def make_house(settings: Settings, services: Sequence[Service], sink: LogSink, dns: object) -> House:
    """What restrictions and routing ask; no mail passes through it."""
    house = House(settings, tuple(services), sink, dns=dns)
    house.rewriter = TrivialRewrite(settings, house)
    return house


async def decide(view: Settings, house: House, request: Request) -> Decision:
    """Play the session of request: connect, HELO, MAIL, RCPT, DATA and its end. Raises ConfigError."""
    gate = Gate(view, house)
    sender, recipient, helo = request.sender, request.recipient, request.helo_name
    request.sender = request.recipient = request.helo_name = None
    hello = "EHLO" if request.protocol_name == "ESMTP" else "HELO"
    plan = (
        ("CONNECT", f"connection from {request.client_address}", gate.connect),
        (hello, f"{hello} {helo}", gate.helo),
        ("MAIL", f"MAIL FROM:<{sender}>", gate.mail),
        ("RCPT", f"RCPT TO:<{recipient}>", gate.rcpt),
        ("DATA", "DATA", gate.data),
        ("END-OF-MESSAGE", "end of the message", gate.end_of_data),
    )
    decision = Decision()
    try:
        for state, command, ask in plan:
            request.protocol_state = state
            if state == hello:
                request.helo_name = helo
            elif state == "MAIL":
                request.sender = sender
            elif state == "RCPT":
                request.recipient = recipient
            elif state == "DATA":
                request.recipient_count = 1
            trace = Trace()
            verdict: Verdict = await ask(request, trace)
            decision.stages.append(_stage(command, trace, verdict))
            if verdict.refusal is not None:
                break
    finally:
        await gate.close()
    return decision


def _stage(command: str, trace: Trace, verdict: Verdict) -> StageAnswer:
    notes = tuple(f"{note.kind}: {note.text}" for note in verdict.notes)
    return StageAnswer(command, tuple(trace.entries), trace.take_facts(), verdict.refusal, verdict.actions, notes)
