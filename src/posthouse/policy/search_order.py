"""What a table is asked about a client's certificate, and in which order (postconf(5), check_ccert_access)."""

from __future__ import annotations

from posthouse.errors import ConfigError
from posthouse.lookup.braces import split_items
from posthouse.policy.words import without_braces

CERTIFICATE, PUBLIC_KEY = "cert_fingerprint", "pubkey_fingerprint"
USUAL_ORDER = (CERTIFICATE, PUBLIC_KEY)


def table_with_order(argument: str) -> tuple[str, tuple[str, ...]]:
    """The table, and what it is asked: "type:name", or "{ type:name, { search_order = ... } }". Raises ConfigError."""
    if not argument.startswith("{"):
        return argument, USUAL_ORDER
    table, *attributes = split_items(without_braces(argument)) or [""]
    order: tuple[str, ...] = USUAL_ORDER
    for attribute in attributes:
        name, equal, value = without_braces(attribute).partition("=")
        if not equal:
            raise ConfigError(f"malformed map attribute in '{argument}': 'missing '=' after attribute name'")
        if name.strip() != "search_order":
            raise ConfigError(f"unknown map attribute in '{argument}': '{name.strip()}'")
        order = tuple(value.replace(",", " ").split())
        for word in order:
            if word not in USUAL_ORDER:
                raise ConfigError(f"unknown search type '{word}' in '{argument}'")
    return table, order
