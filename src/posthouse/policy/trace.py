"""What became of each restriction of an evaluation, for whoever asks why mail was refused (posthouse explain)."""

from __future__ import annotations

from dataclasses import dataclass, field

from posthouse.config.settings import Place


@dataclass(frozen=True, slots=True)
class Fact:
    """Something a restriction found out: kind is "table", "dns", "service" or "address"; where says which table,
    query or server; answer is None where there was nothing.
    """

    kind: str
    where: str
    key: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One restriction asked: the words of the rule, the list (parameter) it stands in and that list's place, what it
    found out, and what it said. depth counts lists within lists.
    """

    rule: str
    parameter: str
    place: Place | None
    depth: int
    facts: tuple[Fact, ...]
    answer: str


@dataclass(slots=True)
class Trace:
    """Filled while an evaluation runs."""

    entries: list[Entry] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def take_facts(self) -> tuple[Fact, ...]:
        """What was found out since the last call."""
        taken = tuple(self.facts)
        self.facts.clear()
        return taken
