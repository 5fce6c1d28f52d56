"""Who has to come again, and what is remembered of it (postgrey(8)); pure: entries and the time in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.policy.greylist.store import Entry

CLIENT_INTERVAL_S = 3600  # a client's mail counts at most once in this time
_DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Times:
    """delay: how long a new triplet waits (s). retry_window: it must come again before this is over (s). max_age: what
    has not been seen for so long is forgotten (s). client_count: a client that has so often come again need not wait
    any more; 0 is never.
    """

    delay: int = 300
    retry_window: int = 2 * _DAY_S
    max_age: int = 35 * _DAY_S
    client_count: int = 5


@dataclass(frozen=True, slots=True)
class Decision:
    """passes, with the reason for the log. wait: how long it still takes (s). waited: what this mail waited (s), when
    it is let in for the first time; None otherwise. triplet and client are entries to keep, None where nothing changes.
    now_trusted: with this mail the client has reached client_count.
    """

    passes: bool
    reason: str
    wait: int = 0
    waited: int | None = None
    triplet: Entry | None = None
    client: Entry | None = None
    now_trusted: bool = False


def judge_client(times: Times, client: Entry | None, now: int) -> Decision | None:
    """Let a client in that has proved itself; None where it has not."""
    if not times.client_count or client is None or client.times < times.client_count:
        return None
    if now - client.last > times.max_age:
        return None
    counts = now >= client.last + CLIENT_INTERVAL_S
    return Decision(True, "client AWL", client=Entry(client.first, now, client.times + 1) if counts else None)


def judge_triplet(times: Times, triplet: Entry | None, client: Entry | None, now: int) -> Decision:
    """Whether mail of this triplet is let in now."""
    if triplet is None or _is_forgotten(times, triplet, now):
        return Decision(times.delay <= 0, "new", times.delay, triplet=Entry(now, now))
    seen = Entry(triplet.first, now, triplet.times)
    waited = now - triplet.first
    if waited < times.delay:
        left = times.delay - waited
        return Decision(False, f"early-retry ({left}s missing)", left, triplet=seen)
    if triplet.last - triplet.first >= times.delay:
        return Decision(True, "triplet found", triplet=seen)
    counted = _count(times, client, now)
    is_trusted = counted is not None and counted.times == times.client_count
    return Decision(True, "triplet found", 0, waited, seen, counted, is_trusted)


def _is_forgotten(times: Times, triplet: Entry, now: int) -> bool:
    if now - triplet.last > times.max_age:
        return True
    has_come_again = triplet.last - triplet.first >= times.delay
    return not has_come_again and now - triplet.first > times.retry_window


def _count(times: Times, client: Entry | None, now: int) -> Entry | None:
    if not times.client_count:
        return None
    if client is None or now - client.last > times.max_age:
        return Entry(now, now, 1)
    if now < client.last + CLIENT_INTERVAL_S:
        return None
    return Entry(client.first, now, client.times + 1)
