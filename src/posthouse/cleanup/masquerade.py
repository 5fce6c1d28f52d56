"""Address masquerading: hosts below a domain are hidden behind it (masquerade_domains, ADDRESS_REWRITING_README)."""

from __future__ import annotations

from posthouse.cleanup.work import Work


def masquerade(work: Work, address: str, place: str) -> str:
    """The address with its domain cut down to the first of masquerade_domains it lies below; "!domain" leaves it."""
    rules = work.rules
    if not rules.masquerade_domains or place not in rules.masquerade_classes:
        return address
    local, at, domain = address.rpartition("@")
    if not at or local.lower() in rules.masquerade_exceptions:
        return address
    folded = domain.lower()
    for item in rules.masquerade_domains:
        name = item.lstrip("!")
        if folded == name.lower():
            return address
        if folded.endswith("." + name.lower()):
            return address if (len(item) - len(name)) % 2 else f"{local}@{name}"
    return address
