"""Makes an enhanced status code fit what it is said about: a sender is not told what befits a recipient (RFC 3463)."""

from __future__ import annotations

from posthouse.policy.check import RECIPIENT, SENDER, Check

_OF_SENDER = {"1.0": "1.0", "1.1": "1.7", "1.2": "1.8", "1.3": "1.7", "1.4": "1.7", "1.5": "1.0", "1.6": "1.7"}
_OF_SENDER |= {"1.7": "1.7", "1.8": "1.8"}
_OF_RECIPIENT = {f"1.{number}": f"1.{number}" for number in range(7)} | {"1.7": "1.3", "1.8": "1.2"}


def fit_dsn(check: Check, dsn: str, what: str) -> str:
    """Dsn as given by a table, a template or a transport, for the class what; the log says when it was changed."""
    family, _, detail = dsn.partition(".")
    if not detail.startswith("1."):
        return dsn
    if what is SENDER:
        fitting = _OF_SENDER.get(detail, "1.0")
    elif what is RECIPIENT:
        fitting = _OF_RECIPIENT.get(detail, "1.0")
    else:
        fitting = "0.0"
    if fitting == detail:
        return dsn
    check.means.log.info(f"mapping DSN status {dsn} into {what} status {family}.{fitting}")
    return f"{family}.{fitting}"
