"""A proof as text: the session in which a stranger gets through, with the rules that let him, or what keeps him out."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.config.settings import Settings
from posthouse.config.word_places import place_of_word
from posthouse.policy.proof.contents import read_contents
from posthouse.policy.proof.relay import Proof, State
from posthouse.policy.request import Request
from posthouse.policy.trace import Entry, Fact


def in_words(proof: Proof) -> str:
    """One line."""
    match proof.state:
        case State.CLOSED:
            return f"closed: no stranger gets through {proof.closed_by} to a destination that is not yours"
        case State.OPEN:
            return f"OPEN: strangers may send to anybody: {proof.reason}"
        case State.NAMED:
            recipient = proof.session.recipient if proof.session else ""
            return f"closed, but strangers may send to {recipient}: {proof.reason}"
        case _:
            return f"not known to be closed: {proof.reason}"


def session_lines(proof: Proof, settings: Settings) -> Iterator[str]:
    """The session, C: and S: as on the wire, and after RCPT TO the rules that were asked."""
    request = proof.session
    if request is None:
        for name, permission in proof.ways:
            yield f"   {where(settings, name, permission.rule)}: {permission.rule}: {permission.why}"
        return
    names = [f"name {request.client_name}"]
    if request.reverse_client_name not in {"unknown", request.client_name}:
        names.append(f"reverse name {request.reverse_client_name}")
    yield f"   a client connects from {request.client_address} ({', '.join(names)})"
    if request.helo_name is not None:
        yield f"C: EHLO {request.helo_name}"
        yield "S: 250"
    yield f"C: MAIL FROM:<{request.sender}>"
    yield "S: 250 2.1.0 Ok"
    yield f"C: RCPT TO:<{request.recipient}>"
    yield from trace_lines(proof.trace, settings)
    yield "S: 250 2.1.5 Ok"
    if proof.state is State.DEPENDS:
        yield "   (if what cannot be read here - a server, a table of one - says OK)"


def trace_lines(trace: tuple[Entry, ...], settings: Settings, indent: str = "   ") -> Iterator[str]:
    """One line for each rule asked, and one for each thing it found out."""
    parameter = ""
    for entry in trace:
        inner = "   " * entry.depth
        parameter = entry.parameter or parameter
        place = f"{where(settings, entry.parameter, entry.rule)}: {entry.parameter}: " if entry.parameter else ""
        yield f"{indent}{inner}{place}{entry.rule}: {entry.answer}"
        for fact in entry.facts:
            answer = f"{found(fact.answer)}{_line_of(fact, settings)}"
            yield f"{indent}{inner}   {fact.kind} {fact.where}: {fact.key}: {answer}"


def _line_of(fact: Fact, settings: Settings) -> str:
    """Where an access table says so, as far as its text is there to be read."""
    if fact.kind != "table" or fact.answer is None or ":" not in fact.where:
        return ""
    for line in read_contents(fact.where, settings).lines:
        if line.number and (line.key.lower() == fact.key.lower() or (line.is_pattern and line.value == fact.answer)):
            return f" ({line.place})"
    return ""


def found(answer: str | None) -> str:
    """What a table or server answered."""
    return "nothing found" if answer is None else answer


def where(settings: Settings, parameter: str, rule: str) -> str:
    """File and line of a rule in a list."""
    if not parameter or settings.place(parameter) is None:
        return "default"
    place = place_of_word(settings, parameter, rule.split(maxsplit=1)[0] if rule else "")
    return f"{place.file}, line {place.line}"


def as_json(proof: Proof) -> dict[str, object]:
    """For programs."""
    return {
        "service": proof.service,
        "state": proof.state.name.lower(),
        "closed_by": proof.closed_by,
        "reason": proof.reason,
        "session": _session_json(proof.session),
    }


def _session_json(request: Request | None) -> dict[str, object] | None:
    if request is None:
        return None
    return {
        "client_address": request.client_address,
        "client_name": request.client_name,
        "helo_name": request.helo_name,
        "sender": request.sender,
        "recipient": request.recipient,
    }
