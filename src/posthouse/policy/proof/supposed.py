"""A gate to try sessions on without a network: DNS, policy servers and tables of servers say what is supposed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from posthouse.config.settings import Settings
from posthouse.policy.evaluate import Rule, RuleList
from posthouse.policy.gate import Gate
from posthouse.policy.means import Means
from posthouse.policy.policy_servers import PolicyServers
from posthouse.policy.tables import AccessTable
from posthouse.policy.verdict import Verdict
from posthouse.services.house import House
from posthouse.services.verifying import Reachability, Verified
from posthouse.system.dns_answers import Answer, Missing, Mx, NotFound, Result

DUNNO, OK = "DUNNO", "OK"


class SupposedDns:
    """Every name exists and takes mail at 203.0.113.25; no list of DNS has anybody."""

    def __init__(self) -> None:
        self.lists: set[str] = set()

    async def lookup(self, name: str, kind: str) -> Result:
        if any(name.endswith(f".{one}") for one in self.lists):
            return NotFound(name, kind, Missing.NO_NAME)
        match kind:
            case "MX":
                return Answer(name, kind, (Mx(10, f"mx.{name}"),))
            case "A":
                return Answer(name, kind, ("203.0.113.25",))
            case "NS":
                return Answer(name, kind, (f"ns.{name}",))
            case _:
                return NotFound(name, kind, Missing.NO_DATA)

    async def addresses(self, name: str, inet_protocols: Iterable[str] = ()) -> Result:  # noqa: ARG002
        return await self.lookup(name, "A")


async def supposed_probe(address: str) -> Verified:  # noqa: ARG001
    """What reject_unverified_* hears: the address is there."""
    return Verified(Reachability.REACHABLE)


class SupposedTable(AccessTable):
    """A table whose answer is not known here."""

    __slots__ = ("_answer",)

    def __init__(self, spec: str, settings: Settings, answer: str) -> None:
        super().__init__(spec, settings)
        self._answer = answer

    async def find(self, key: str) -> str | None:  # noqa: ARG002
        return None if self._answer == DUNNO else self._answer


class _SupposedServer:
    def __init__(self, endpoint: str, options: object, answer: str) -> None:
        self.endpoint = self.written = endpoint
        self.options, self._answer = options, answer

    async def ask(self, attributes: object) -> str:  # noqa: ARG002
        return self._answer


class _SupposedServers(PolicyServers):
    def __init__(self, means: SupposedMeans) -> None:
        super().__init__(means.settings, means.log)
        self._answer = means.answer

    def server(self, text: str) -> Any:
        real = super().server(text)
        return _SupposedServer(real.endpoint, real.options, self._answer)


class SupposedMeans(Means):
    """answer is what policy servers and unreadable tables say. is_readable(spec) tells the latter."""

    def __init__(self, settings: Settings, house: House, answer: str, is_readable: Callable[[str], bool]) -> None:
        super().__init__(settings, house)
        self.answer, self._is_readable = answer, is_readable
        self._supposed: dict[str, AccessTable] = {}
        self._supposed_servers: _SupposedServers | None = None

    def table(self, spec: str) -> AccessTable:
        if self._is_readable(spec):
            return super().table(spec)
        found = self._supposed.get(spec)
        if found is None:
            found = self._supposed[spec] = SupposedTable(spec, self.settings, self.answer)
        return found

    def rules_in_table(self, words: str, default_access: str) -> tuple[Rule, ...]:
        return tuple(_without_sleep(rule) for rule in super().rules_in_table(words, default_access))

    @property
    def policy_servers(self) -> PolicyServers:
        if self._supposed_servers is None:
            self._supposed_servers = _SupposedServers(self)
        return self._supposed_servers


class SupposedGate(Gate):
    """A gate whose rules can be looked at, and which never waits."""

    def __init__(self, settings: Settings, house: House, means: SupposedMeans) -> None:
        super().__init__(settings, house, means)
        self.means = means
        self._client, self._helo, self._sender = map(_awake, (self._client, self._helo, self._sender))
        first, second = map(_awake, self._recipient)
        self._recipient = (first, second)
        self._data, self._end_of_data = _awake(self._data), _awake(self._end_of_data)
        if isinstance(house.dns, SupposedDns):
            for rules in (*self.lists, self._etrn):
                house.dns.lists.update(_dns_lists(rules.rules))

    @property
    def lists(self) -> tuple[RuleList, ...]:
        """In the order in which mail passes them."""
        return (self._client, self._helo, self._sender, *self._recipient, self._data, self._end_of_data)


def _awake(rules: RuleList) -> RuleList:
    return dataclasses.replace(rules, rules=tuple(_without_sleep(rule) for rule in rules.rules))


def _without_sleep(rule: Rule) -> Rule:
    if rule.members:
        return dataclasses.replace(rule, members=tuple(_without_sleep(member) for member in rule.members))
    if rule.restriction is not None and rule.restriction.name == "sleep":
        return dataclasses.replace(rule, ask=lambda _check: None, waits=False)
    return rule


def _dns_lists(rules: Iterable[Rule]) -> Iterable[str]:
    for rule in rules:
        yield from _dns_lists(rule.members)
        if rule.restriction is not None and rule.restriction.needs_dns and rule.argument and ":" not in rule.argument:
            yield rule.argument.partition("=")[0]


def play(question: Coroutine[Any, Any, Verdict]) -> Verdict | None:
    """The answer of a gate that does not wait; None where it would have to."""
    try:
        question.send(None)
    except StopIteration as done:
        verdict: Verdict = done.value
        return verdict
    except RuntimeError:  # something wanted an event loop: a table of a server
        return None
    question.close()
    return None
