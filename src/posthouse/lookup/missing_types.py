"""Table types that Postfix knows and this house does not offer, with what is missing (DATABASE_README)."""

from __future__ import annotations

_REASONS = {
    "cdb": "a reader for cdb files; use hash: or lmdb: with the same text",
    "dbm": "a reader for dbm files; use hash: with the same text",
    "ldap": "an LDAP client library",
    "memcache": "a memcache client",
    "mongodb": "a MongoDB client library",
    "mysql": "a MySQL client library",
    "netinfo": "NetInfo, which no system has any more",
    "nisplus": "NIS+, which no system has any more",
    "pgsql": "a PostgreSQL client library",
    "sdbm": "a reader for sdbm files; use hash: with the same text",
}


def explain_missing(kind: str) -> str:
    """Why a table of this type cannot be opened."""
    reason = _REASONS.get(kind)
    text = f"unsupported dictionary type: {kind}"
    return f"{text} (needs {reason})" if reason else text
