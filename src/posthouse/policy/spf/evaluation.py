"""Evaluates SPF records with pyspf, without a thread (RFC 7208, 4).

Where pyspf wants the DNS it is stopped, our resolver is asked, and pyspf begins again with what is known by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import spf

from posthouse.policy.spf.result import Identity, SpfResult
from posthouse.system.dns_answers import Answer, DnsFailed, Mx, NotFound

MAX_QUESTIONS = 130  # 10 terms of 10 hosts each, their records, and an explanation
MAX_RECORD_STRINGS = 100
MAX_CACHED = 5000
CACHE_S = 60.0

Ask = Callable[[str, str], Awaitable[Answer | NotFound | DnsFailed]]
_Question = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """lookup_time: seconds for one identity. void_lookups: names without records that are put up with (4.6.4)."""

    lookup_time: float = 20.0
    void_lookups: int = 2


class _Unanswered(BaseException):
    """pyspf wants to know something that has not been asked yet. Where pyspf catches everything, `unanswered` tells."""


class _Evaluation(spf.query):  # type: ignore[misc]
    """One run of pyspf over known answers."""

    def __init__(self, who: tuple[str, str, str], receiver: str, known: dict[_Question, Any], limits: Limits) -> None:
        client, sender, helo = who
        self._known, self._limits = known, limits
        self.unanswered: _Question | None = None
        super().__init__(client, sender, helo, receiver=receiver, strict=True)

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:  # noqa: ARG002
        """In place of pyspf's own questions."""
        name = str(name).removesuffix(".").lower()
        if not name or len(name) > 253 or not all(0 < len(label) < 64 for label in name.split(".")):
            return []
        question = (name, qtype)
        if question not in self._known:
            self.unanswered = question
            raise _Unanswered
        found = self._known[question]
        if found is None:
            raise spf.TempError(f"DNS: no answer about {name}")
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > self._limits.void_lookups:
                raise spf.PermError(f"Void lookup limit of {self._limits.void_lookups} exceeded")
        return list(found)


class SpfChecker:
    """Asks about clients and domains; remembers results for a minute (DNS answers are the resolver's to remember)."""

    def __init__(self, ask: Ask, limits: Limits | None = None) -> None:
        self._ask, self._limits = ask, limits or Limits()
        self._cache: dict[tuple[str, str, str, str], tuple[float, SpfResult]] = {}

    async def check(self, client: str, sender: str, helo: str, receiver: str = "unknown") -> SpfResult:
        """What SPF says of a sender; of the HELO name, where sender is "". Never raises for what others did wrong."""
        key = (client, sender, helo, receiver)
        known, now = self._cache.get(key), time.monotonic()
        if known is not None and known[0] > now:
            return known[1]
        result = await self._evaluate(client, sender, helo, receiver)
        if result.result != "temperror":
            if len(self._cache) >= MAX_CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[key] = (now + CACHE_S, result)
        return result

    async def names_lead_to(self, name: str, client: str) -> bool:
        """Whether the client's address is among those of the name."""
        kind = "AAAA" if ":" in client else "A"
        found = await self._ask(name, kind)
        return isinstance(found, Answer) and ipaddress.ip_address(client) in map(ipaddress.ip_address, found.texts)

    async def confirmed_names(self, client: str) -> list[str]:
        """The names of the client's address that lead back to it, at most ten (5.5)."""
        found = await self._ask(ipaddress.ip_address(client).reverse_pointer, "PTR")
        names = found.texts[:10] if isinstance(found, Answer) else ()
        return [name.lower() for name in names if await self.names_lead_to(name, client)]

    async def _evaluate(self, client: str, sender: str, helo: str, receiver: str) -> SpfResult:
        identity: Identity = "mailfrom" if sender else "helo"
        domain = sender.rpartition("@")[2] if sender else helo
        try:
            ipaddress.ip_address(client)
            async with asyncio.timeout(self._limits.lookup_time):
                return await self._run((client, sender, helo), receiver, identity, domain)
        except TimeoutError:
            return SpfResult("temperror", identity, domain, "SPF Temporary Error: DNS takes too long")
        except (spf.PermError, ValueError, RecursionError) as problem:
            return SpfResult("permerror", identity, domain, f"SPF Permanent Error: {problem}")

    async def _run(self, who: tuple[str, str, str], receiver: str, identity: Identity, domain: str) -> SpfResult:
        """Once more for every question that turns up."""
        known: dict[_Question, Any] = {}
        for _ in range(MAX_QUESTIONS):
            evaluation = _Evaluation(who, receiver, known, self._limits)
            with contextlib.suppress(_Unanswered):
                result, _code, explanation = evaluation.check()
            if evaluation.unanswered is not None:
                known[evaluation.unanswered] = await self._answer(evaluation.unanswered)
                continue
            nothing = evaluation.mechanism == "-all" and _is_bare_refusal(known.get((domain.lower(), "TXT")))
            return SpfResult(result, identity, domain, str(explanation), evaluation.mechanism or "", nothing)
        return SpfResult("permerror", identity, domain, "SPF Permanent Error: Too many DNS lookups")

    async def _answer(self, question: _Question) -> list[Any] | None:
        """The records in the form that pyspf expects; None for trouble with the DNS."""
        name, kind = question
        if kind == "SPF":
            return []  # RFC 7208, 3.1: that type is not used any more
        match await self._ask(name, kind):
            case Answer(records=records):
                return [_record(record, kind) for record in records[:MAX_RECORD_STRINGS]]
            case NotFound():
                return []
            case _:
                return None


def _record(record: str | Mx, kind: str) -> Any:
    if isinstance(record, Mx):
        return record.preference, record.host
    return (record.encode("utf-8", "replace"),) if kind == "TXT" else record


def _is_bare_refusal(records: list[tuple[bytes]] | None) -> bool:
    return any(parts[0].decode("ascii", "replace").lower().split() == ["v=spf1", "-all"] for parts in records or ())
