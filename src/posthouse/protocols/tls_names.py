"""Which names a server's certificate must carry, by Postfix's match strategies (TLS_README, smtp_tls_policy_maps)."""

from __future__ import annotations

from collections.abc import Iterable


def expected_names(strategies: Iterable[str], host: str, next_hop: str) -> list[str]:
    """The patterns a certificate is held against. "hostname", "nexthop" and "dot-nexthop" are replaced by the names of
    this delivery; anything else is a name itself (".example.com": any name below it).
    """
    patterns = []
    for strategy in strategies:
        match strategy.lower():
            case "hostname":
                patterns.append(host)
            case "nexthop":
                patterns.append(next_hop)
            case "dot-nexthop":
                patterns.append(f".{next_hop}")
            case name:
                patterns.append(name)
    return [pattern.rstrip(".").lower() for pattern in patterns]


def name_matches(pattern: str, name: str) -> bool:
    """Whether a name of the certificate fits a pattern. name may begin with "*." for one label (RFC 6125, 6.4.3)."""
    name = name.rstrip(".").lower()
    if pattern.startswith("."):
        return name.endswith(pattern) or (name.startswith("*.") and name[1:].endswith(pattern))
    if name.startswith("*."):
        _, dot, parent = pattern.partition(".")
        return bool(dot) and "." in parent and name[2:] == parent
    return name == pattern


def certificate_matches(patterns: Iterable[str], names: Iterable[str]) -> bool:
    """Whether any name of the certificate fits any pattern."""
    names = list(names)
    return any(name_matches(pattern, name) for pattern in patterns for name in names)
