"""A zone in place of the DNS, for tests of SPF: lines "name TYPE data"; "name SERVFAIL" fails."""

from __future__ import annotations

from posthouse.system.dns_answers import Answer, DnsFailed, Missing, NotFound


def zone(text: str):
    """A function that asks it."""
    records: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, kind, data = [*line.split(None, 2), ""][:3]
        records.setdefault(name.lower(), []).append((kind, data))

    async def ask(name: str, kind: str):
        found = records.get(name.lower())
        if found is None:
            return NotFound(name, kind, Missing.NO_NAME)
        if found[0][0] == "SERVFAIL":
            return DnsFailed(name, kind)
        data = tuple(data for entry, data in found if entry == kind)
        return Answer(name, kind, data) if data else NotFound(name, kind, Missing.NO_DATA)

    return ask
