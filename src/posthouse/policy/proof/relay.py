"""The proof for one smtpd service: no stranger reaches a strange destination, or the session in which one does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from posthouse.config.settings import Settings
from posthouse.lookup.network_set import address_bits
from posthouse.policy.catalogue import Stage
from posthouse.policy.evaluate import RuleList
from posthouse.policy.proof import strangers
from posthouse.policy.proof.contents import Contents, read_contents
from posthouse.policy.proof.outcomes import Party, Permission, Situation, ways
from posthouse.policy.proof.supposed import DUNNO, OK, SupposedGate, SupposedMeans, play
from posthouse.policy.request import Request
from posthouse.policy.trace import Entry, Trace
from posthouse.services.house import House
from posthouse.services.resolving import AddressClass

if TYPE_CHECKING:
    from posthouse.policy.verdict import Verdict

MOST_SESSIONS = 4000  # tried with the gate, for one service
_MOST_NAMES = 40


class State(Enum):
    """CLOSED: no way is left. NAMED: strangers reach only the destinations that a table names. DEPENDS: a way is left
    if a server or a table that cannot be read here says so, or it could not be excluded. OPEN: the session is shown.
    """

    CLOSED = "closed"
    NAMED = "closed but for destinations that a table names"
    DEPENDS = "closed unless something outside says otherwise"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Proof:
    """state for one service. session is the way in, with the trace of its RCPT; ways are what the lists leave open.

    closed_by: the list that lets no stranger through. reason: in a few words, why it is not closed.
    """

    service: str
    state: State
    closed_by: str = ""
    reason: str = ""
    session: Request | None = None
    trace: tuple[Entry, ...] = ()
    ways: tuple[tuple[str, Permission], ...] = ()


@dataclass(slots=True)
class _Names:
    """What a stranger may call himself, in the order in which it is tried."""

    clients: list[tuple[str, str, str]] = field(default_factory=list)  # address, name, unconfirmed name
    helos: list[str | None] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)


def prove_service(service: str, settings: Settings, house: House) -> Proof:
    """Settings are the view of that service; house has a rewriter and supposed.SupposedDns.

    ConfigError where the lists cannot be read at all.
    """
    return _Prover(service, settings, house).prove()


class _Prover:
    def __init__(self, service: str, settings: Settings, house: House) -> None:
        self._service, self._settings, self._house = service, settings, house
        self._tables: dict[str, Contents] = {}
        self._is_readable = cache(lambda spec: read_contents(spec, settings).readable)
        self._gate = self._make_gate(DUNNO)
        self._class_of = cache(self._find_class)
        self._wide = strangers.wide_networks(self._gate.means)
        self._strange_domains = [domain for domain in strangers.DOMAINS if self._class_of(domain) is None]
        relayed = [domain for domain in strangers.DOMAINS if self._class_of(domain) is AddressClass.RELAY]
        self._swallowed = relayed[0] if relayed else ""

    def _make_gate(self, answer: str) -> SupposedGate:
        means = SupposedMeans(self._settings, self._house, answer, self._is_readable)
        return SupposedGate(self._settings, self._house, means)

    def prove(self) -> Proof:
        closed_by, left = self._ways()
        return Proof(self._service, State.CLOSED, closed_by) if closed_by else self._look_for_session(left)

    def _ways(self, *, without_named: bool = False) -> tuple[str, tuple[tuple[str, Permission], ...]]:
        """The list that lets no stranger through, or "" and what all the lists leave open."""
        left: list[tuple[str, Permission]] = []
        for rules, situation in self._situations():
            situation.without_named = without_named
            outcome = ways(rules.rules, situation)
            if not outcome.permissions and not outcome.silent:
                return rules.parameter, ()
            left += ((rules.parameter, permission) for permission in outcome.permissions)
        return "", tuple(left)

    def _situations(self) -> Iterator[tuple[RuleList, Situation]]:
        gate, delayed = self._gate, self._settings.flag("smtpd_delay_reject")
        first, second = gate.lists[3:5]
        plan = (
            (gate.lists[0], Stage.RCPT if delayed else Stage.CONNECT, delayed),
            (gate.lists[1], Stage.RCPT if delayed else Stage.HELO, delayed),
            (gate.lists[2], Stage.RCPT if delayed else Stage.MAIL, delayed),
            (first, Stage.RCPT, True),
            (second, Stage.RCPT, True),
            (gate.lists[5], Stage.DATA, False),
            (gate.lists[6], Stage.END_OF_DATA, False),
        )
        for rules, stage, with_recipient in plan:
            if rules is gate.lists[1] and not self._settings.flag("smtpd_helo_required"):
                continue  # who says no HELO is not asked for it
            situation = Situation(
                gate.means,
                self._wide,
                bool(self._swallowed),
                stage,
                with_recipient,
                forgets=stage in {Stage.CONNECT, Stage.HELO},
                is_ours=lambda domain: self._class_of(domain) is not None,
            )
            situation.read = self._tables
            yield rules, situation

    def _find_class(self, domain: str) -> AddressClass | None:
        """The address class of a domain of ours; None for one that is not."""
        rewriter = self._house.rewriter
        if rewriter is None:
            return None
        question = rewriter.resolve("", f"somebody@{domain}")
        try:
            question.send(None)
        except StopIteration as done:
            kind = done.value.address_class
            return None if kind is AddressClass.DEFAULT or done.value.failed else kind
        except RuntimeError:
            return None
        question.close()
        return None

    def _look_for_session(self, left: tuple[tuple[str, Permission], ...]) -> Proof:
        names = self._names(left)
        named: Proof | None = None
        for answer in (DUNNO, OK):
            if answer is OK and not any(permission.unknown for _, permission in left):
                break
            gate = self._gate if answer is DUNNO else self._make_gate(OK)
            for request in itertools.islice(_requests(names), MOST_SESSIONS):
                if not self._is_let_in(gate, request):
                    continue
                if strangers.is_strange(request.recipient or ""):
                    return self._shown(State.OPEN if answer is DUNNO else State.DEPENDS, gate, request, left)
                named = named or self._shown(State.NAMED, gate, request, left)
        if named is not None and self._ways(without_named=True)[0]:
            return named
        return Proof(self._service, State.DEPENDS, reason=_in_words(left), ways=left)

    def _shown(
        self, state: State, gate: SupposedGate, request: Request, left: tuple[tuple[str, Permission], ...]
    ) -> Proof:
        trace = Trace()
        request.memory.clear()
        play(gate.rcpt(request, trace))
        entries = tuple(trace.entries)
        permitted = [entry for entry in entries if entry.answer == "permit" and not entry.depth]
        reason = self._why(request, permitted) or _in_words(left)
        return Proof(self._service, state, "", reason, request, entries, left)

    def _why(self, request: Request, permitted: list[Entry]) -> str:
        if request.client_address in self._wide:
            return f"mynetworks holds strangers' addresses such as {request.client_address}"
        if self._swallowed and (request.recipient or "").endswith(f"@{self._swallowed}"):
            return f"relay_domains counts any domain as ours, {self._swallowed} for one"
        if permitted:
            return f'{permitted[-1].parameter}: "{permitted[-1].rule}" permits'
        return "no restriction refuses"

    def _is_let_in(self, gate: SupposedGate, request: Request) -> bool:
        if self._is_ours(request):
            return False
        return any(self._is_passed(gate, request, count) for count in (1, 2))

    def _is_passed(self, gate: SupposedGate, request: Request, recipients: int) -> bool:
        """Whether all stages pass; at the end of the message one of several recipients is not known."""
        request.memory.clear()
        for state, ask in (
            ("CONNECT", gate.connect),
            ("HELO", gate.helo if request.helo_name is not None else None),
            ("MAIL", gate.mail),
            ("RCPT", gate.rcpt),
            ("DATA", gate.data),
            ("END-OF-MESSAGE", gate.end_of_data),
        ):
            request.protocol_state = state
            request.recipient_count = recipients if state in {"DATA", "END-OF-MESSAGE"} else 0
            if ask is None:
                continue
            verdict: Verdict | None = play(ask(_as_known_at(request, state)))
            if verdict is None or verdict.refusal is not None:
                return False
        request.protocol_state = "RCPT"
        return not request.memory.get("discarded")

    def _is_ours(self, request: Request) -> bool:
        domain = (request.recipient or "").rpartition("@")[2]
        return domain != self._swallowed and self._class_of(domain) is not None

    def _names(self, left: tuple[tuple[str, Permission], ...]) -> _Names:
        names = _Names()
        shown: dict[Party, list[str]] = {party: [] for party in Party}
        for _, permission in left:
            for party, name in permission.witnesses:
                if name not in shown[party] and len(shown[party]) < _MOST_NAMES:
                    shown[party].append(name)
        names.clients = list(self._clients(shown))
        helo_needed = self._settings.flag("smtpd_helo_required")
        names.helos = [strangers.HELO, *([] if helo_needed else [None]), *shown[Party.HELO]]
        names.senders = [*strangers.SENDERS, *shown[Party.SENDER]]
        domains = [self._swallowed] if self._swallowed else self._strange_domains[:1]
        names.recipients = [*(f"somebody@{domain}" for domain in domains), *shown[Party.RECIPIENT]]
        return names

    def _clients(self, shown: dict[Party, list[str]]) -> Iterator[tuple[str, str, str]]:
        addresses = [*strangers.strange_clients(self._gate.means), *self._wide[:1]]
        for address in addresses[:3]:
            for name in ("unknown", strangers.NAMES[1]):
                yield address, name, name
        first = addresses[0] if addresses else "198.51.100.7"
        for name in shown[Party.CLIENT]:
            if address_bits(name) is not None:
                yield name, "unknown", "unknown"
            else:
                yield first, name, name
        for name in shown[Party.REVERSE]:
            yield first, "unknown", name


def _requests(names: _Names) -> Iterator[Request]:
    """Sessions, the plainest first."""
    for recipient, sender in itertools.product(names.recipients, names.senders):
        for (address, name, reverse), helo in itertools.product(names.clients, names.helos):
            yield Request(
                client_address=address,
                client_name=name,
                reverse_client_name=reverse,
                client_name_code=2 if name != "unknown" else 5,
                reverse_client_name_code=2 if reverse != "unknown" else 5,
                helo_name=helo,
                protocol_name="ESMTP",
                sender=sender,
                recipient=recipient,
                encryption_protocol="TLSv1.3",
            )


def _as_known_at(request: Request, state: str) -> Request:
    """The request as it is at that command: later names are not known yet."""
    if state in {"RCPT", "DATA", "END-OF-MESSAGE"}:
        return request
    known = Request(
        request.client_address,
        client_name=request.client_name,
        reverse_client_name=request.reverse_client_name,
        client_name_code=request.client_name_code,
        reverse_client_name_code=request.reverse_client_name_code,
        helo_name=request.helo_name if state != "CONNECT" else None,
        protocol_name=request.protocol_name,
        protocol_state=state,
        sender=request.sender if state == "MAIL" else None,
        encryption_protocol=request.encryption_protocol,
    )
    known.memory = request.memory
    return known


def _in_words(left: tuple[tuple[str, Permission], ...]) -> str:
    """Why a relay is not known to be closed."""
    unknown = [(name, permission) for name, permission in left if permission.unknown] or list(left)
    if not unknown:
        return "no restriction refuses a destination that is not ours"
    name, permission = unknown[0]
    return f'{name}: "{permission.rule}": {permission.why}'
